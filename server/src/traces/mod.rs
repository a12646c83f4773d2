//! Traces for OpenTelemetry, sent by OTLP if the operator names a collector.
//!
//! Nothing is instrumented automatically: a span has the names and values that this crate gives it,
//! and no others. A library's own spans would name what the log leaves out, such as the key in the
//! URL of an object.
//!
//! The current span is that of OpenTelemetry's context, which follows a request's future. Scoring
//! threads have none: the request's own task records what they have done, from their times.

mod collector;
mod losses;
mod parent;
mod queue;

pub(crate) use parent::parent;

use anyhow::Context as _;
use collector::Collector;
use futures_util::future::Either;
use losses::Losses;
use opentelemetry::{
    Context, InstrumentationScope, KeyValue, Value,
    context::FutureExt,
    trace::{Span, SpanBuilder, SpanKind, TraceContextExt, Tracer, TracerProvider},
};
use opentelemetry_sdk::{
    Resource,
    resource::EnvResourceDetector,
    trace::{IdGenerator, RandomIdGenerator, Sampler, SdkTracer, SdkTracerProvider, SpanLimits},
};
use queue::Queue;
use reqwest::header::HeaderMap;
use std::{
    env,
    sync::{Arc, OnceLock},
    time::{Duration, Instant, SystemTime},
};
use url::Url;

/// Name of the service, unless the environment has another.
const SERVICE: &str = env!("CARGO_PKG_NAME");
/// Name of the service in the environment, for programs of any language.
const SERVICE_VARIABLE: &str = "OTEL_SERVICE_NAME";

/// What traces requests; empty while nothing is traced.
static TRACING: OnceLock<Tracing> = OnceLock::new();

/// Settings of traces.
#[derive(Clone, Debug)]
pub(crate) struct TraceSettings {
    /// URL to which spans are posted.
    pub(crate) url: Url,
    /// Headers of these requests, which may be secret.
    pub(crate) headers: HeaderMap,
    /// Fraction of the requests that are traced, from 0 to 1, of those whose client has not
    /// decided.
    pub(crate) sampled: f64,
}

struct Tracing {
    tracer: SdkTracer,
    /// Attributes that every request's span has.
    everywhere: Vec<KeyValue>,
}

/// Traces of this process, until they are stopped.
pub(crate) struct Traces {
    provider: SdkTracerProvider,
    losses: Arc<Losses>,
    queue: Arc<Queue>,
}

/// Begins to trace requests, whose spans all have the attributes `everywhere`.
///
/// # Errors
/// Fails if there can be no connections to the collector, or traces have begun before.
pub(crate) fn start(settings: &TraceSettings, everywhere: Vec<KeyValue>) -> anyhow::Result<Traces> {
    let losses = Arc::<Losses>::default();
    let queue = Arc::<Queue>::default();
    let collector = Collector::new(settings, queue.clone(), losses.clone())?;
    let provider = SdkTracerProvider::builder()
        .with_sampler(Sampler::ParentBased(Box::new(Sampler::TraceIdRatioBased(
            settings.sampled,
        ))))
        // Otherwise the environment has a say.
        .with_span_limits(SpanLimits::default())
        .with_span_processor(queue::bounded(collector, queue.clone(), losses.clone()))
        .with_resource(resource())
        .build();
    let scope = InstrumentationScope::builder(SERVICE)
        .with_version(env!("CARGO_PKG_VERSION"))
        .build();
    let tracing = Tracing {
        tracer: provider.tracer_with_scope(scope),
        everywhere,
    };
    TRACING.set(tracing).ok().context("traces have begun already")?;
    Ok(Traces {
        provider,
        losses,
        queue,
    })
}

impl Traces {
    /// Sends the spans that are left, if that takes no longer than `patience`, and ends. Blocks
    /// the thread meanwhile.
    pub(crate) fn stop(self, patience: Duration) {
        self.queue.close();
        if self.provider.shutdown_with_timeout(patience).is_err() {
            self.losses.add(self.queue.len(), &losses::Loss::Stopped);
        }
        self.losses.report();
    }
}

/// Describes this process.
fn resource() -> Resource {
    let mut resource = Resource::builder_empty()
        .with_service_name(SERVICE)
        .with_attributes([
            KeyValue::new("service.version", env!("CARGO_PKG_VERSION")),
            KeyValue::new(
                "service.instance.id",
                RandomIdGenerator::default().new_trace_id().to_string(),
            ),
        ])
        .with_detector(Box::new(EnvResourceDetector::new()));
    if let Some(name) = env::var(SERVICE_VARIABLE).ok().filter(|name| !name.is_empty()) {
        resource = resource.with_service_name(name);
    }
    resource.build()
}

/// Begins the span of a request below `parent`, which may be the client's, and returns the context
/// in which to serve the request. Returns `None` if nothing is traced.
pub(crate) fn request(
    parent: impl FnOnce() -> Context,
    describe: impl FnOnce() -> (String, Vec<KeyValue>),
) -> Option<Context> {
    let Tracing { tracer, everywhere } = TRACING.get()?;
    let (name, mut attributes) = describe();
    attributes.extend_from_slice(everywhere);
    let span = SpanBuilder::from_name(name)
        .with_kind(SpanKind::Server)
        .with_attributes(attributes);
    let parent = parent();
    Some(parent.with_span(tracer.build_with_context(span, &parent)))
}

/// Begins a span below that of `context`. Returns `None` if that isn't recorded.
pub(crate) fn child(context: &Context, name: &'static str) -> Option<Context> {
    recorded(context, |tracer| {
        context.with_span(tracer.start_with_context(name, context))
    })
}

/// Does `work` in a span below the current one, if that is recorded.
pub(crate) fn span<F: Future>(name: &'static str, work: F) -> impl Future<Output = F::Output> {
    match Context::map_current(|context| child(context, name)) {
        Some(context) => Either::Left(work.with_context(context)),
        None => Either::Right(work),
    }
}

/// Adds an attribute to the current span, if it is recorded.
pub(crate) fn note<V: Into<Value>>(name: &'static str, value: impl FnOnce() -> V) {
    Context::map_current(|context| {
        recorded(context, |_| {
            let attribute = KeyValue::new(name, value());
            context.span().set_attribute(attribute);
        })
    });
}

/// Records a span below the current one for work that was done elsewhere.
pub(crate) fn past(name: &'static str, began: Instant, took: Duration) {
    Context::map_current(|context| {
        recorded(context, |tracer| {
            let began = SystemTime::now() - began.elapsed();
            let span = SpanBuilder::from_name(name).with_start_time(began);
            let mut span = tracer.build_with_context(span, context);
            span.end_with_timestamp(began + took);
        })
    });
}

/// Does something with the tracer if the span of `context` is recorded. It never is while nothing
/// is traced.
fn recorded<T>(context: &Context, act: impl FnOnce(&SdkTracer) -> T) -> Option<T> {
    let tracer = &TRACING.get()?.tracer;
    context.span().is_recording().then(|| act(tracer))
}
