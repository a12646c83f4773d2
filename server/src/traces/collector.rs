//! Sends spans to a collector: OTLP over HTTP, as protobuf.
//!
//! `opentelemetry-otlp` would do the same, but it hides why a collector can't be reached, passes
//! over spans that the collector rejects, and drops headers it can't send without a word.

use super::{
    TraceSettings,
    losses::{Loss, Losses},
    queue::Queue,
};
use anyhow::Context;
use bytes::Bytes;
use opentelemetry_proto::{
    tonic::collector::trace::v1::{ExportTraceServiceRequest, ExportTraceServiceResponse},
    transform::{
        common::tonic::ResourceAttributesWithSchema, trace::tonic::group_spans_by_resource_and_scope,
    },
};
use opentelemetry_sdk::{
    Resource,
    error::OTelSdkResult,
    trace::{SpanData, SpanExporter},
};
use prost::Message;
use reqwest::{
    Client, Response, StatusCode,
    header::{CONTENT_TYPE, HeaderValue, RETRY_AFTER},
    redirect,
};
use std::{
    sync::Arc,
    time::{Duration, Instant},
};
use tokio::runtime::{self, Runtime};
use tracing::{Dispatch, dispatcher};
use url::Url;

/// Longest time for which one batch of spans is tried.
const PATIENCE: Duration = Duration::from_secs(10);
/// Pause before the second try; each further pause is twice as long.
const FIRST_PAUSE: Duration = Duration::from_secs(1);
/// Longest answer of a collector that is read. It says which spans it rejected, and why.
const ANSWER_BYTES: usize = 64 << 10;
/// Longest reason that is kept, in characters.
const REASON_CHARS: usize = 200;

/// Connection to a collector. The SDK calls it from a thread of its own.
#[derive(Debug)]
pub(super) struct Collector {
    /// For this thread alone: a slow collector keeps nothing else waiting.
    runtime: Runtime,
    client: Client,
    url: Url,
    resource: ResourceAttributesWithSchema,
    queue: Arc<Queue>,
    losses: Arc<Losses>,
}

impl Collector {
    /// Prepares connections to the collector that `settings` name. It need not be there yet.
    pub(super) fn new(
        settings: &TraceSettings,
        queue: Arc<Queue>,
        losses: Arc<Losses>,
    ) -> anyhow::Result<Self> {
        let client = Client::builder()
            .default_headers(settings.headers.clone())
            .user_agent(concat!(env!("CARGO_PKG_NAME"), "/", env!("CARGO_PKG_VERSION")))
            // The headers are meant for the collector alone.
            .redirect(redirect::Policy::none())
            .build()
            .context("preparing connections to the collector")?;
        let runtime = runtime::Builder::new_current_thread()
            .enable_all()
            .build()
            .context("starting the runtime of traces")?;
        Ok(Self {
            runtime,
            client,
            url: settings.url.clone(),
            resource: ResourceAttributesWithSchema::default(),
            queue,
            losses,
        })
    }

    /// Sends spans until they are taken or it's hopeless. Returns the answer.
    async fn deliver(&self, spans: &Bytes) -> Result<ExportTraceServiceResponse, Loss> {
        let end = Instant::now() + PATIENCE;
        let mut pause = FIRST_PAUSE;
        loop {
            let sent = tokio::time::timeout_at(end.into(), self.send(spans.clone()));
            let (loss, wait) = match sent.await {
                Ok(Ok(answer)) => return Ok(answer),
                Ok(Err(Failure { loss, retry: None })) => return Err(loss),
                Ok(Err(Failure { loss, retry })) => (loss, retry.unwrap_or_default().max(pause)),
                Err(_) => return Err(Loss::Silent),
            };
            if self.queue.is_closed() || end.saturating_duration_since(Instant::now()) <= wait {
                return Err(loss);
            }
            tokio::time::sleep(wait).await;
            pause *= 2;
        }
    }

    async fn send(&self, spans: Bytes) -> Result<ExportTraceServiceResponse, Failure> {
        let request = self
            .client
            .post(self.url.clone())
            .header(CONTENT_TYPE, HeaderValue::from_static("application/x-protobuf"))
            .body(spans);
        let answer = request.send().await.map_err(Failure::of_transport)?;
        if !answer.status().is_success() {
            return Err(Failure::of_status(&answer));
        }
        let body = read(answer).await.map_err(Failure::of_transport)?;
        // The spans were taken, whatever the answer's body is.
        Ok(ExportTraceServiceResponse::decode(body).unwrap_or_default())
    }
}

/// Reads the answer's body, or as much as may be of use.
async fn read(mut answer: Response) -> reqwest::Result<Bytes> {
    let mut body = Vec::new();
    while let Some(piece) = answer.chunk().await? {
        let room = ANSWER_BYTES - body.len();
        body.extend_from_slice(&piece[..piece.len().min(room)]);
        if piece.len() >= room {
            break;
        }
    }
    Ok(body.into())
}

/// Why a try failed.
struct Failure {
    loss: Loss,
    /// Shortest pause before the next try, if another can help.
    retry: Option<Duration>,
}

impl Failure {
    fn of_transport(error: reqwest::Error) -> Self {
        Self {
            loss: Loss::Unreachable(format!("{:#}", anyhow::Error::new(error.without_url()))),
            retry: Some(Duration::ZERO),
        }
    }

    /// Follows OTLP in which statuses are tried again.
    fn of_status(answer: &Response) -> Self {
        let passes = matches!(
            answer.status(),
            StatusCode::TOO_MANY_REQUESTS
                | StatusCode::BAD_GATEWAY
                | StatusCode::SERVICE_UNAVAILABLE
                | StatusCode::GATEWAY_TIMEOUT
        );
        let asked = answer
            .headers()
            .get(RETRY_AFTER)
            .and_then(|value| value.to_str().ok()?.parse().ok());
        Self {
            loss: Loss::Refused(answer.status()),
            retry: passes.then(|| Duration::from_secs(asked.unwrap_or(0))),
        }
    }
}

impl SpanExporter for Collector {
    async fn export(&self, batch: Vec<SpanData>) -> OTelSdkResult {
        let count = batch.len();
        let resource_spans = group_spans_by_resource_and_scope(batch, &self.resource);
        let message = ExportTraceServiceRequest { resource_spans }.encode_to_vec();
        // Libraries would log every try that fails; `losses` says it once.
        let delivered = dispatcher::with_default(&Dispatch::none(), || {
            self.runtime.block_on(self.deliver(&message.into()))
        });
        match delivered {
            Ok(answer) => {
                let part = answer.partial_success.unwrap_or_default();
                let rejected = usize::try_from(part.rejected_spans).unwrap_or(0);
                let reason = part.error_message.chars().take(REASON_CHARS).collect();
                self.losses.add(rejected.min(count), &Loss::Rejected(reason));
            }
            Err(loss) => self.losses.add(count, &loss),
        }
        self.queue.leave(count);
        // Its caller would only count errors for itself.
        Ok(())
    }

    fn set_resource(&mut self, resource: &Resource) {
        self.resource = resource.into();
    }
}
