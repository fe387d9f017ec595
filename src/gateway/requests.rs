//! Requests in every form become messages with the headers of gRPC.

use std::convert::Infallible;
use std::pin::Pin;
use std::sync::Arc;
use std::task::{Context, Poll};

use backpropd_json::{Memory as _, ReadError, append, read};
use base64::Engine as _;
use base64::engine::general_purpose::STANDARD_NO_PAD;
use bytes::Bytes;
use futures_util::Stream;
use futures_util::stream::{BoxStream, unfold};
use http::Request;
use http_body::{Body as HttpBody, Frame, SizeHint};
use http_body_util::BodyExt as _;
use tonic::Status;
use tonic::codegen::StdError;
use tower::Service;

use super::answers::PREFIX;
use super::forms::{Codec, Form, RequestForm};
use super::memory::OfCall;
use super::schema::SCHEMA;
use super::turns::{Customer, Turns};
use crate::host::caller::Caller;
use crate::host::limits::memory::OutOfMemory;
use crate::host::refused::Refused;
use crate::status::malformed;

/// The services, for requests in every form. The call log is in front of it.
#[derive(Clone)]
pub struct Converting<S> {
    inner: S,
    turns: Turns,
    most: usize,
}

impl<S> Converting<S> {
    /// Wraps `inner`. A message has at most `most` bytes of text; large ones are converted in their turn.
    pub fn new(inner: S, most: usize, turns: Turns) -> Self {
        Self { inner, turns, most }
    }
}

impl<S, R> Service<Request<R>> for Converting<S>
where
    S: Service<Request<Inbound<R>>, Error = Infallible>,
    R: HttpBody<Data = Bytes, Error = StdError> + Send + Unpin + 'static,
{
    type Response = S::Response;
    type Error = Infallible;
    type Future = S::Future;

    fn poll_ready(&mut self, context: &mut Context<'_>) -> Poll<Result<(), Infallible>> {
        self.inner.poll_ready(context)
    }

    fn call(&mut self, mut request: Request<R>) -> S::Future {
        let form = request.extensions_mut().remove::<Form>();
        // An envelope with protobuf in it has the form of a gRPC message.
        let form = form.filter(|form| form.request != RequestForm::Enveloped(Codec::Proto));
        let caller = request.extensions().get::<Arc<Caller>>().map(Arc::clone);
        let request = match (form, caller) {
            (Some(form), Some(caller)) => request.map(|body| {
                let arriving = Arriving {
                    body,
                    caller,
                    form,
                    turns: self.turns.clone(),
                    most: self.most,
                    text: Vec::new(),
                    start: 0,
                    scanned: 0,
                    lines: 0,
                    has_ended: false,
                    is_complete: false,
                    next: None,
                };
                Inbound::Converted(Box::pin(arriving.frames()))
            }),
            _ => request.map(Inbound::Plain),
        };
        self.inner.call(request)
    }
}

/// The body of a request, as the services read it.
pub enum Inbound<R> {
    /// As it came.
    Plain(R),
    /// Converted.
    Converted(BoxStream<'static, Result<Bytes, StdError>>),
}

impl<R: HttpBody<Data = Bytes, Error = StdError> + Unpin> HttpBody for Inbound<R> {
    type Data = Bytes;
    type Error = StdError;

    fn poll_frame(
        self: Pin<&mut Self>,
        context: &mut Context<'_>,
    ) -> Poll<Option<Result<Frame<Bytes>, StdError>>> {
        match self.get_mut() {
            Self::Plain(body) => Pin::new(body).poll_frame(context),
            Self::Converted(frames) => {
                let next = frames.as_mut().poll_next(context);
                next.map(|next| next.map(|data| data.map(Frame::data)))
            }
        }
    }

    fn is_end_stream(&self) -> bool {
        match self {
            Self::Plain(body) => body.is_end_stream(),
            Self::Converted(_) => false,
        }
    }

    fn size_hint(&self) -> SizeHint {
        match self {
            Self::Plain(body) => body.size_hint(),
            Self::Converted(_) => SizeHint::default(),
        }
    }
}

/// A request that arrives and is converted.
struct Arriving<R> {
    body: R,
    caller: Arc<Caller>,
    form: Form,
    turns: Turns,
    most: usize,
    /// What has arrived, of which all before `start` is converted.
    text: Vec<u8>,
    start: usize,
    /// Up to here there is no end of a line.
    scanned: usize,
    /// The lines before this message, where each is one.
    lines: usize,
    /// Whether all of the body has arrived.
    has_ended: bool,
    /// Whether the last message has been taken.
    is_complete: bool,
    /// A message whose header has been given out.
    next: Option<Bytes>,
}

impl<R> Arriving<R>
where
    R: HttpBody<Data = Bytes, Error = StdError> + Send + Unpin + 'static,
{
    fn frames(self) -> impl Stream<Item = Result<Bytes, StdError>> + Send {
        unfold(Some(self), |arriving| async {
            let mut arriving = arriving?;
            match arriving.frame().await {
                Ok(Some(frame)) => Some((Ok(frame), Some(arriving))),
                Ok(None) => None,
                Err(error) => Some((Err(error), None)),
            }
        })
    }

    /// The header of the next message, then the message.
    async fn frame(&mut self) -> Result<Option<Bytes>, StdError> {
        if let Some(message) = self.next.take() {
            return Ok(Some(message));
        }
        let message = match self.form.request {
            RequestForm::Base64 => return self.decoded().await,
            RequestForm::Whole(codec) => self.whole(codec).await?,
            RequestForm::Lines => self.line().await?,
            RequestForm::Enveloped(_) => self.enveloped().await?,
        };
        let Some(message) = message else {
            return Ok(None);
        };
        let length = u32::try_from(message.len()).map_err(|_| self.too_large())?;
        let mut header = [0; PREFIX];
        header[1..].copy_from_slice(&length.to_be_bytes());
        self.next = (!message.is_empty()).then_some(message);
        Ok(Some(Bytes::copy_from_slice(&header)))
    }

    /// Waits for more text. Each byte was held when it arrived; from here on the buffer is.
    async fn more(&mut self) -> Result<(), StdError> {
        let frame = match self.body.frame().await {
            Some(frame) => frame?,
            None => {
                self.has_ended = true;
                return Ok(());
            }
        };
        if let Ok(data) = frame.into_data() {
            if self.start > self.text.len() / 2 {
                self.text.drain(..self.start);
                self.scanned -= self.start;
                self.start = 0;
            }
            let mut memory = OfCall(Arc::clone(&self.caller));
            append(&mut self.text, &data, &mut memory).map_err(Status::from)?;
            memory.release(data.len());
        }
        Ok(())
    }

    /// A message larger than any of this server's, in the words that the call log explains.
    fn too_large(&self) -> Status {
        Status::out_of_range(format!("more than {} bytes came", self.most))
    }

    async fn whole(&mut self, codec: Codec) -> Result<Option<Bytes>, StdError> {
        if std::mem::replace(&mut self.is_complete, true) {
            return Ok(None);
        }
        while !self.has_ended {
            self.more().await?;
            if self.text.len() > self.most {
                return Err(self.too_large().into());
            }
        }
        let text = std::mem::take(&mut self.text);
        match codec {
            Codec::Proto => Ok(Some(Bytes::from(text))),
            Codec::Json => Ok(Some(self.converted(text).await?)),
        }
    }

    /// The message of the next line that is not blank.
    async fn line(&mut self) -> Result<Option<Bytes>, StdError> {
        loop {
            let end = match self.text[self.scanned..]
                .iter()
                .position(|&byte| byte == b'\n')
            {
                Some(at) => self.scanned + at,
                None if !self.has_ended => {
                    self.scanned = self.text.len();
                    if self.text.len() - self.start > self.most {
                        return Err(self.too_large().into());
                    }
                    self.more().await?;
                    continue;
                }
                None if self.start < self.text.len() => self.text.len(),
                None => return Ok(None),
            };
            let line = &self.text[self.start..end];
            let line = (!line.iter().all(u8::is_ascii_whitespace)).then(|| line.to_vec());
            self.start = self.text.len().min(end + 1);
            self.scanned = self.start;
            if let Some(line) = line {
                self.caller.hold(line.capacity()).map_err(Status::from)?;
                let message = self.converted(line).await?;
                self.lines += 1;
                return Ok(Some(message));
            }
            self.lines += 1;
        }
    }

    /// The message of the next envelope.
    async fn enveloped(&mut self) -> Result<Option<Bytes>, StdError> {
        loop {
            let text = &self.text[self.start..];
            let length = match text.split_first_chunk::<PREFIX>() {
                Some(([flags, length @ ..], _)) => {
                    if *flags != 0 {
                        let message = "an envelope has a flag, of which this server knows none (not compressed, \
                                       and only replies end with a message of their own)";
                        return Err(malformed(message).into());
                    }
                    let length = u32::from_be_bytes(*length) as usize;
                    if length > self.most {
                        return Err(self.too_large().into());
                    }
                    Some(length)
                }
                None => None,
            };
            if let Some(text) = length.and_then(|length| text.get(PREFIX..PREFIX + length)) {
                let text = text.to_vec();
                self.caller.hold(text.capacity()).map_err(Status::from)?;
                self.start += PREFIX + text.len();
                self.scanned = self.start;
                return Ok(Some(self.converted(text).await?));
            }
            if self.has_ended {
                return match text.is_empty() {
                    true => Ok(None),
                    false => Err(malformed("it ends inside of an envelope").into()),
                };
            }
            self.more().await?;
        }
    }

    /// What has arrived in base64, as far as it is whole. Each piece that a client encoded may end with padding.
    async fn decoded(&mut self) -> Result<Option<Bytes>, StdError> {
        const QUAD: usize = 4;
        loop {
            let text = &self.text[self.start..];
            let whole = text.len() / QUAD * QUAD;
            if whole > 0 {
                let (text, end) = (&text[..whole], self.start + whole);
                let mut bytes = Vec::with_capacity(base64::decoded_len_estimate(whole));
                for piece in text.split_inclusive(|&letter| letter == b'=') {
                    // The second sign of `==` stands alone.
                    if piece == b"=" {
                        continue;
                    }
                    let piece = piece.strip_suffix(b"=").unwrap_or(piece);
                    let decoded = STANDARD_NO_PAD.decode_vec(piece, &mut bytes);
                    decoded.map_err(|error| malformed(&format!("it is not base64: {error}")))?;
                }
                self.start = end;
                self.scanned = end;
                // The services count the bytes that a message has; three for each four that were held.
                self.caller.release(whole - bytes.len().min(whole));
                return Ok(Some(Bytes::from(bytes)));
            }
            if self.has_ended {
                return match text.is_empty() {
                    true => Ok(None),
                    false => Err(malformed("its base64 ends inside of a group of four").into()),
                };
            }
            self.more().await?;
        }
    }

    /// The message of a JSON text, whose capacity is held.
    async fn converted(&mut self, text: Vec<u8>) -> Result<Bytes, Status> {
        let (mut memory, method) = (OfCall(Arc::clone(&self.caller)), self.form.method);
        let (size, lines) = (text.len(), self.lines);
        let work = move || {
            let read = read(&SCHEMA, SCHEMA.request_of(method), &text, &mut memory);
            memory.release(text.capacity());
            read.map(|mut message| {
                let capacity = message.capacity();
                message.shrink_to_fit();
                memory.release(capacity - message.len());
                message
            })
        };
        let customer = Customer {
            origin: self.caller.parties().origin,
            deadline: self.caller.deadline,
        };
        let read = self.turns.take(size, customer, work).await?;
        read.map(Bytes::from).map_err(|error| refusal(error, lines))
    }
}

/// The error of a call whose text, after so many lines, is no message.
fn refusal(error: ReadError<OutOfMemory>, lines: usize) -> Status {
    match error {
        ReadError::Syntax(what) if lines > 0 => {
            malformed(&format!("not JSON: {}", what.after(lines)))
        }
        ReadError::Syntax(what) => malformed(&format!("not JSON: {what}")),
        ReadError::Invalid(violations) => Refused::Invalid(violations).into(),
        ReadError::Memory(error) => error.into(),
    }
}
