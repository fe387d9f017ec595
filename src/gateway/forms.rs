//! What a request's headers say about its form and the form of the reply.

use std::time::Duration;

use backpropd_json::Method;
use http::header::CONTENT_ENCODING;
use http::{HeaderMap, HeaderValue, StatusCode};
use tonic::Status;

use crate::status::{Reason, Refusal};

/// How messages are written.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Codec {
    Json,
    Proto,
}

/// How the messages of a request come.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum RequestForm {
    /// The body is one message.
    Whole(Codec),
    /// Each line is a message, in JSON.
    Lines,
    /// Each message has a header, whose form is that of gRPC.
    Enveloped(Codec),
    /// As in gRPC, in base64.
    Base64,
}

/// How the messages of a reply go.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum ReplyForm {
    /// The body is one message.
    Whole(Codec),
    /// Each line is a message, in JSON.
    Lines,
    /// Each message has a header; the last one says how the stream ended.
    Enveloped(Codec),
    /// As in gRPC, with the trailers as the last message; as base64 if `is_text`.
    Web { is_text: bool },
}

impl ReplyForm {
    /// The `content-type` of the reply.
    pub fn content_type(self) -> &'static str {
        match self {
            Self::Whole(Codec::Json) => "application/json",
            Self::Whole(Codec::Proto) => "application/proto",
            Self::Lines => "application/x-ndjson",
            Self::Enveloped(Codec::Json) => "application/connect+json",
            Self::Enveloped(Codec::Proto) => "application/connect+proto",
            Self::Web { is_text: false } => "application/grpc-web+proto",
            Self::Web { is_text: true } => "application/grpc-web-text+proto",
        }
    }
}

/// The form of a call.
#[derive(Clone, Copy, Debug)]
pub struct Form {
    /// The called method.
    pub method: &'static Method,
    /// The form of the request.
    pub request: RequestForm,
    /// The form of the reply.
    pub reply: ReplyForm,
}

/// What a method accepts, for the header `accept-post`.
pub fn accepted(method: &Method) -> &'static str {
    match (method.client_streams, method.server_streams) {
        (false, false) => {
            "application/json, application/proto, application/grpc-web, application/grpc-web-text"
        }
        (true, true) => "application/connect+proto, application/connect+json, application/grpc-web",
        (true, false) | (false, true) => {
            "application/json, application/connect+json, application/connect+proto, application/grpc-web, \
             application/grpc-web-text"
        }
    }
}

impl Form {
    /// The form that `content_type` says.
    ///
    /// # Errors
    /// This method has no such form.
    pub fn of(
        method: &'static Method,
        content_type: Option<&HeaderValue>,
    ) -> Result<Self, (StatusCode, Status)> {
        let given = content_type.and_then(|value| value.to_str().ok());
        let mut parts = given.unwrap_or_default().split(';').map(str::trim);
        let essence = parts.next().unwrap_or_default().to_ascii_lowercase();
        let other_charset = parts.find_map(|parameter| {
            let (name, value) = parameter.split_once('=')?;
            let value = value.trim_matches('"');
            let is_other = name.eq_ignore_ascii_case("charset")
                && !["utf-8", "utf8", "us-ascii"]
                    .iter()
                    .any(|known| value.eq_ignore_ascii_case(known));
            is_other.then_some(value)
        });
        if let Some(charset) = other_charset {
            let message = format!("content-type names the charset {charset:?}: JSON is UTF-8");
            return Err(unsupported(message));
        }
        let streams = (method.client_streams, method.server_streams);
        let is_stream = streams != (false, false);
        let (request, reply) = match (&*essence, streams) {
            ("application/json", (false, false)) => (
                RequestForm::Whole(Codec::Json),
                ReplyForm::Whole(Codec::Json),
            ),
            ("application/json" | "application/x-ndjson", (false, true)) => {
                (RequestForm::Whole(Codec::Json), ReplyForm::Lines)
            }
            ("application/json" | "application/x-ndjson", (true, false)) => {
                (RequestForm::Lines, ReplyForm::Whole(Codec::Json))
            }
            ("application/proto", (false, false)) => (
                RequestForm::Whole(Codec::Proto),
                ReplyForm::Whole(Codec::Proto),
            ),
            ("application/connect+json", _) if is_stream => (
                RequestForm::Enveloped(Codec::Json),
                ReplyForm::Enveloped(Codec::Json),
            ),
            ("application/connect+proto", _) if is_stream => (
                RequestForm::Enveloped(Codec::Proto),
                ReplyForm::Enveloped(Codec::Proto),
            ),
            ("application/grpc-web" | "application/grpc-web+proto", _) => (
                RequestForm::Enveloped(Codec::Proto),
                ReplyForm::Web { is_text: false },
            ),
            ("application/grpc-web-text" | "application/grpc-web-text+proto", _) => {
                (RequestForm::Base64, ReplyForm::Web { is_text: true })
            }
            _ => {
                let given = match given {
                    Some(given) => format!("content-type is {given:?}"),
                    None => "there is no content-type".to_owned(),
                };
                let message = format!(
                    "{given}; {} takes {}. `curl --json '{{…}}'` sends JSON",
                    method.name,
                    accepted(method)
                );
                return Err(unsupported(message));
            }
        };
        Ok(Self {
            method,
            request,
            reply,
        })
    }

    /// Refuses a compressed request and a version of the protocol that is not known here.
    ///
    /// # Errors
    /// It is one of them.
    pub fn check_encoding(self, headers: &HeaderMap) -> Result<(), Status> {
        let encoding = match self.reply {
            ReplyForm::Whole(_) | ReplyForm::Lines => headers.get(CONTENT_ENCODING),
            ReplyForm::Enveloped(_) => headers.get("connect-content-encoding"),
            // tonic reads `grpc-encoding`.
            ReplyForm::Web { .. } => None,
        };
        if let Some(encoding) = encoding
            && !encoding.as_bytes().eq_ignore_ascii_case(b"identity")
        {
            let message = format!(
                "the request is compressed ({encoding:?}), which this server does not read: send it as it is (identity)"
            );
            return Err(Refusal::new(Reason::UnknownMethod, message).status());
        }
        match headers.get("connect-protocol-version") {
            Some(version) if version != "1" => {
                let message = format!(
                    "connect-protocol-version is {version:?}; allowed: \"1\", or no such header"
                );
                Err(Refusal::new(Reason::MalformedMessage, message).status())
            }
            Some(_) | None => Ok(()),
        }
    }
}

fn unsupported(message: String) -> (StatusCode, Status) {
    let status = Refusal::new(Reason::UnknownMethod, message).status();
    (StatusCode::UNSUPPORTED_MEDIA_TYPE, status)
}

/// The time that the client waits at most.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Timeout(Duration);

impl Timeout {
    /// What `connect-timeout-ms` says.
    ///
    /// # Errors
    /// It is not a number of at most ten digits.
    pub fn of(headers: &HeaderMap) -> Result<Option<Self>, Status> {
        const MOST_DIGITS: usize = 10;
        let Some(value) = headers.get("connect-timeout-ms") else {
            return Ok(None);
        };
        let text = value.to_str().ok().filter(|text| {
            (1..=MOST_DIGITS).contains(&text.len())
                && text.bytes().all(|digit| digit.is_ascii_digit())
        });
        let milliseconds = text.and_then(|text| text.parse().ok());
        match milliseconds {
            Some(milliseconds) => Ok(Some(Self(Duration::from_millis(milliseconds)))),
            None => {
                let message = format!(
                    "connect-timeout-ms is {value:?}; allowed: milliseconds, at most {MOST_DIGITS} digits"
                );
                Err(Refusal::new(Reason::MalformedMessage, message).status())
            }
        }
    }

    /// As the header `grpc-timeout`, which has at most eight digits.
    pub fn into_grpc(self) -> HeaderValue {
        const MOST: u128 = 99_999_999;
        let milliseconds = self.0.as_millis();
        let text = if milliseconds <= MOST {
            format!("{milliseconds}m")
        } else {
            format!("{}S", milliseconds.div_ceil(1000))
        };
        HeaderValue::from_str(&text).unwrap_or(HeaderValue::from_static("99999999S"))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn timeout(text: &str) -> Option<String> {
        let mut headers = HeaderMap::new();
        headers.insert("connect-timeout-ms", text.parse().expect("a header"));
        let timeout = Timeout::of(&headers).ok()??;
        Some(timeout.into_grpc().to_str().expect("text").to_owned())
    }

    #[test]
    fn a_timeout_keeps_its_length_in_the_eight_digits_of_grpc() {
        assert_eq!(timeout("0").as_deref(), Some("0m"));
        assert_eq!(timeout("99999999").as_deref(), Some("99999999m"));
        assert_eq!(timeout("100000001").as_deref(), Some("100001S"));
        assert_eq!(timeout("9999999999").as_deref(), Some("10000000S"));
        for text in ["", "-1", "1.5", "10s", "12345678901", "١"] {
            let parsed = HeaderValue::from_str(text).ok().and_then(|_| timeout(text));
            assert_eq!(parsed, None, "{text}");
        }
    }
}
