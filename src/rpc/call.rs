//! The call that a request is decoded and handled in.

use std::future::Future;
use std::sync::Arc;

use crate::host::caller::Caller;
use crate::host::limits::memory::OutOfMemory;

tokio::task_local! {
    static CALLER: Arc<Caller>;
}

/// `work` for a call by `caller`. tonic's decoders and handlers take no argument for it; the host's functions do.
pub fn scope<W: Future>(caller: Arc<Caller>, work: W) -> InCall<W> {
    CALLER.scope(caller, work)
}

/// What [`scope`] returns.
pub type InCall<W> = tokio::task::futures::TaskLocalFuture<Arc<Caller>, W>;

/// Who asks, in a handler.
///
/// # Panics
/// Outside of [`scope`].
pub fn caller() -> Arc<Caller> {
    CALLER.get()
}

/// The caller of the request that is being decoded holds `bytes` more, until it is answered. A client's own decoder, which
/// is outside of a call, counts nothing.
///
/// # Errors
/// There are not so many left for it.
pub fn hold(bytes: usize) -> Result<(), OutOfMemory> {
    CALLER
        .try_with(|caller| caller.hold(bytes))
        .unwrap_or(Ok(()))
}
