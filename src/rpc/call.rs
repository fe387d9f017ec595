//! The call in which a request is decoded and handled.

use std::future::Future;
use std::sync::Arc;

use crate::host::caller::Caller;
use crate::host::limits::memory::OutOfMemory;

tokio::task_local! {
    static CALLER: Arc<Caller>;
}

/// Runs `work` for a call by `caller`. A task local carries it because tonic's decoders and handlers have no argument
/// for it.
pub fn scope<W: Future>(caller: Arc<Caller>, work: W) -> InCall<W> {
    CALLER.scope(caller, work)
}

/// What [`scope`] returns.
pub type InCall<W> = tokio::task::futures::TaskLocalFuture<Arc<Caller>, W>;

/// The caller of the current call, for handlers.
///
/// # Panics
/// Outside of [`scope`].
pub fn caller() -> Arc<Caller> {
    CALLER.get()
}

/// Reserves `bytes` more for the caller of the request being decoded, until it is answered. A client's own decoder runs
/// outside of a call and reserves nothing.
///
/// # Errors
/// The memory for calls is used up.
pub fn hold(bytes: usize) -> Result<(), OutOfMemory> {
    CALLER
        .try_with(|caller| caller.hold(bytes))
        .unwrap_or(Ok(()))
}
