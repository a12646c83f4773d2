//! Periodic background tasks.

use super::state::AppState;
use crate::{
    telemetry,
    tenants::{Access, Share, exchange},
};
use actix_web::rt;
use blindscore_protocol::wire::{HEADER_BYTES, Header};
use metrics::counter;
use metrics_exporter_prometheus::PrometheusHandle;
use std::{sync::Arc, time::Duration};
use tokio::time::MissedTickBehavior;

/// How often expired keys are removed.
const SWEEP_INTERVAL: Duration = Duration::from_secs(3600);
/// How often measurements are moved into histograms.
const METRICS_INTERVAL: Duration = Duration::from_secs(5);

/// Starts all background tasks.
pub(super) fn start(state: &Arc<AppState>, access: &Arc<Access>) {
    rt::spawn(sweep(state.clone()));
    rt::spawn(keep_metrics(state.metrics.clone()));
    rt::spawn(reload_tokens(access.clone()));
    if let Some(share) = &state.share {
        rt::spawn(share_counts(state.clone(), share.clone()));
    }
    rt::spawn(reload_models(state.clone()));
}

/// Removes keys of earlier formats once, then expired keys periodically.
async fn sweep(state: Arc<AppState>) {
    let keys = state.scorer.keys();
    let earlier = keys.remove_useless(HEADER_BYTES, Header::is_of_earlier_format);
    match earlier.await {
        Ok(0) => {}
        Ok(removed) => tracing::warn!(
            removed,
            "public keys of earlier formats removed: nobody can use them any more, and their owners' clients make new ones"
        ),
        Err(cause) => {
            tracing::error!(%cause, "removing keys of earlier formats failed; the next start tries again")
        }
    }
    let mut interval = tokio::time::interval(SWEEP_INTERVAL);
    loop {
        interval.tick().await;
        match keys.sweep().await {
            Ok(removed) => tracing::info!(removed, "expired keys removed"),
            Err(cause) => tracing::error!(%cause, "removing expired keys failed"),
        }
    }
}

/// Moves measurements into their histograms, so that they don't pile up if nobody reads the
/// metrics.
async fn keep_metrics(metrics: PrometheusHandle) {
    let mut interval = tokio::time::interval(METRICS_INTERVAL);
    loop {
        interval.tick().await;
        metrics.run_upkeep();
    }
}

/// Reloads the tokens periodically. While they can't be read, the known ones stay valid for the
/// time that `Access` allows.
async fn reload_tokens(access: Arc<Access>) {
    let Some(interval) = access.interval() else {
        return;
    };
    let mut interval = tokio::time::interval(interval);
    // Ticks missed during a slow read are skipped.
    interval.set_missed_tick_behavior(MissedTickBehavior::Delay);
    loop {
        interval.tick().await;
        if let Err(error) = access.reload().await {
            counter!(telemetry::TOKEN_ERRORS).increment(1);
            tracing::error!(%error, "the tokens can't be read; those known stay valid for five minutes");
        }
    }
}

/// Exchanges counts with other servers periodically.
async fn share_counts(state: Arc<AppState>, share: Arc<Share>) {
    let mut interval = tokio::time::interval(share.every());
    interval.set_missed_tick_behavior(MissedTickBehavior::Delay);
    loop {
        interval.tick().await;
        exchange(&share, state.budget.as_deref(), &state.rate).await;
    }
}

/// Reloads the models when their files change. A file that can't be served changes nothing, and is
/// tried again when a file changes.
async fn reload_models(state: Arc<AppState>) {
    let Some(library) = &state.model_library else {
        return;
    };
    let period = library.lock().await.interval();
    let mut interval = tokio::time::interval(period);
    interval.set_missed_tick_behavior(MissedTickBehavior::Delay);
    loop {
        interval.tick().await;
        let mut library = library.lock().await;
        if let Err(error) = state.refresh_models(&mut library).await {
            tracing::error!(%error, "the models have changed and can't be served; the previous models stay in use");
        }
    }
}
