//! Spans by OTLP. A call puts its span into a queue of bounded length and goes on; a thread sends them in batches. Where
//! the queue is full, spans are dropped.

use std::env;
use std::fs;
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};
use std::time::{Duration, SystemTime};

use opentelemetry::trace::{
    Span as _, SpanBuilder, SpanContext, SpanKind, Status, TraceContextExt as _, TraceFlags,
    TraceState, Tracer as _, TracerProvider as _,
};
use opentelemetry::{Context, Key, KeyValue};
use opentelemetry_otlp::{WithExportConfig as _, WithTonicConfig as _};
use opentelemetry_sdk::Resource;
use opentelemetry_sdk::error::OTelSdkResult;
use opentelemetry_sdk::trace::{SdkTracer, SdkTracerProvider, SpanData, SpanExporter};
use tonic::Code;
use tonic::transport::{Certificate, ClientTlsConfig};

use super::super::call_metrics::{OTHER_METHOD, code_name};
use super::super::trace::TraceParent;
use super::ended::{Ended, TracesError};
use super::variables::{Wanted, wanted};

/// Where spans go, if anywhere.
#[derive(Clone, Debug, Default)]
pub struct Traces(Option<Arc<Export>>);

#[derive(Debug)]
struct Export {
    provider: SdkTracerProvider,
    tracer: SdkTracer,
}

impl Traces {
    /// Starts the export that the variables `OTEL_*` ask for. Needs the runtime on which the connection to the collector
    /// is to live.
    ///
    /// # Errors
    /// A variable cannot be used.
    pub fn of_environment() -> Result<Self, TracesError> {
        let Some(wanted) = wanted(|name| env::var(name).ok())? else {
            return Ok(Self::default());
        };
        let provider = SdkTracerProvider::builder()
            .with_batch_exporter(Told {
                exporter: exporter(&wanted).map_err(|problem| TracesError(vec![problem]))?,
                is_failing: AtomicBool::new(false),
            })
            .with_resource(resource())
            .build();
        tracing::info!("exporting traces");
        let tracer = provider.tracer(env!("CARGO_PKG_NAME"));
        Ok(Self(Some(Arc::new(Export { provider, tracer }))))
    }

    /// Queues the span of a call.
    pub(in super::super) fn record(&self, call: &Ended<'_>) {
        if let Some(export) = &self.0 {
            record(&export.tracer, call);
        }
    }

    /// Sends what is queued, within this time; later spans are dropped.
    pub async fn flush(&self, within: Duration) {
        let Some(export) = self.0.clone() else {
            return;
        };
        let flush = move || export.provider.shutdown_with_timeout(within);
        if let Ok(Err(error)) = tokio::task::spawn_blocking(flush).await {
            tracing::warn!(%error, "the last traces may not have reached the collector");
        }
    }
}

fn record(tracer: &SdkTracer, call: &Ended<'_>) {
    let ended = SystemTime::now();
    let method = call.path.strip_prefix('/').unwrap_or(OTHER_METHOD);
    let parent = call.parent.map_or_else(Context::new, |parent| {
        Context::new().with_remote_span_context(remote(parent))
    });
    let builder = SpanBuilder::from_name(method.to_owned())
        .with_kind(SpanKind::Server)
        .with_start_time(ended.checked_sub(call.took).unwrap_or(ended));
    let mut span = tracer.build_with_context(builder, &parent);
    if !span.is_recording() {
        return;
    }
    let code = code_name(call.code);
    span.set_attribute(KeyValue::new("rpc.system.name", "grpc"));
    span.set_attribute(KeyValue::new("rpc.method", method.to_owned()));
    span.set_attribute(KeyValue::new("rpc.response.status_code", code));
    // The names before these, by which many backends still look.
    span.set_attribute(KeyValue::new("rpc.system", "grpc"));
    if let Some((service, _)) = method.split_once('/') {
        span.set_attribute(KeyValue::new("rpc.service", service.to_owned()));
    }
    span.set_attribute(KeyValue::new("rpc.grpc.status_code", call.code as i64));
    let id = i64::try_from(call.id).unwrap_or(i64::MAX);
    span.set_attribute(KeyValue::new("backpropd.call", id));
    if is_fault(call.code) {
        span.set_attribute(KeyValue::new("error.type", code));
        // Without the message, which may name a session.
        span.set_status(Status::error(""));
    }
    span.end_with_timestamp(ended);
}

/// The codes that OpenTelemetry counts as failures of a server; others are answers to a client's mistakes.
fn is_fault(code: Code) -> bool {
    match code {
        Code::Unknown
        | Code::DeadlineExceeded
        | Code::Unimplemented
        | Code::Internal
        | Code::Unavailable
        | Code::DataLoss => true,
        Code::Ok
        | Code::Cancelled
        | Code::InvalidArgument
        | Code::NotFound
        | Code::AlreadyExists
        | Code::PermissionDenied
        | Code::ResourceExhausted
        | Code::FailedPrecondition
        | Code::Aborted
        | Code::OutOfRange
        | Code::Unauthenticated => false,
    }
}

fn remote(parent: TraceParent) -> SpanContext {
    let flags = TraceFlags::default().with_sampled(parent.is_sampled);
    let (trace, span) = (parent.trace.into(), parent.span.into());
    SpanContext::new(trace, span, flags, true, TraceState::NONE)
}

fn exporter(wanted: &Wanted) -> Result<opentelemetry_otlp::SpanExporter, String> {
    let exporter = opentelemetry_otlp::SpanExporter::builder()
        .with_tonic()
        .with_endpoint(&wanted.endpoint);
    let exporter = if wanted.endpoint.starts_with("https:") {
        let tls = ClientTlsConfig::new();
        exporter.with_tls_config(match &wanted.certificates {
            None => tls.with_enabled_roots(),
            Some(file) => {
                let read = fs::read(file);
                let pem = read.map_err(|error| {
                    format!("the certificates of the collector, {file:?}: {error}")
                })?;
                tls.ca_certificate(Certificate::from_pem(pem))
            }
        })
    } else {
        exporter
    };
    exporter.build().map_err(|error| {
        let (variable, endpoint) = (wanted.variable, &wanted.endpoint);
        format!("{variable} = {endpoint:?}: {error}")
    })
}

/// What the variables say about this server, and its name and version where they do not.
fn resource() -> Resource {
    let found = Resource::builder().build();
    let text = |key| found.get(&Key::new(key)).map(|value| value.to_string());
    let mut resource = Resource::builder();
    if text("service.name").is_none_or(|name| name.starts_with("unknown_service")) {
        resource = resource.with_service_name(env!("CARGO_PKG_NAME"));
    }
    if text("service.version").is_none() {
        let version = KeyValue::new("service.version", env!("CARGO_PKG_VERSION"));
        resource = resource.with_attribute(version);
    }
    resource.build()
}

/// An exporter that logs when it begins to fail and when it works again, and no batch in between.
#[derive(Debug)]
struct Told<E> {
    exporter: E,
    is_failing: AtomicBool,
}

impl<E: SpanExporter> SpanExporter for Told<E> {
    async fn export(&self, batch: Vec<SpanData>) -> OTelSdkResult {
        let exported = self.exporter.export(batch).await;
        let was_failing = self.is_failing.swap(exported.is_err(), Ordering::Relaxed);
        match &exported {
            Err(error) if !was_failing => tracing::warn!(
                %error,
                "traces do not reach the collector and are dropped; calls go on, and the log says when it answers again"
            ),
            Ok(()) if was_failing => tracing::info!("traces reach the collector again"),
            Ok(()) | Err(_) => {}
        }
        exported
    }

    fn shutdown_with_timeout(&self, timeout: Duration) -> OTelSdkResult {
        self.exporter.shutdown_with_timeout(timeout)
    }

    fn force_flush(&self) -> OTelSdkResult {
        self.exporter.force_flush()
    }

    fn set_resource(&mut self, resource: &Resource) {
        self.exporter.set_resource(resource);
    }
}
