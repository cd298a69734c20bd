//! Logs and metrics: those of the library, and those of the requests.

use std::error::Error;
use std::io::stdout;
use std::sync::Arc;
use std::time::Instant;

use axum::extract::{MatchedPath, Request, State};
use axum::middleware::Next;
use axum::response::Response;
use metrics::{counter, gauge, histogram};
use metrics_exporter_prometheus::{Matcher, PrometheusBuilder, PrometheusHandle};
use tracing::{Instrument, info_span};
use tracing_subscriber::EnvFilter;

use super::app::{App, Database};
use super::client::{REQUEST_ID, given_request_id};
use super::config::{Config, LogFormat};
use super::keys::random_text;

/// Installs both for this process.
pub(crate) fn install(config: &Config) -> Result<PrometheusHandle, Box<dyn Error>> {
    let filter =
        EnvFilter::builder().with_default_directive(tracing::Level::INFO.into()).from_env_lossy();
    let logs = tracing_subscriber::fmt().with_env_filter(filter).with_writer(stdout);
    let installed = match config.log_format {
        LogFormat::Json => logs.json().flatten_event(true).try_init(),
        LogFormat::Pretty => logs.try_init(),
    };
    installed.map_err(|error| error.to_string())?;
    let seconds = |name: &str| Matcher::Full(name.to_owned());
    let metrics = PrometheusBuilder::new()
        .set_buckets_for_metric(seconds("account_hash_seconds"), &BUCKETS)?
        .set_buckets_for_metric(seconds("http_request_seconds"), &BUCKETS)?
        .install_recorder()?;
    begin_at_zero();
    Ok(metrics)
}

/// What is rare must be seen the first time, and a series that begins with a one has not grown.
fn begin_at_zero() {
    for outcome in
        ["created", "existing", "invalid", "taken", "busy", "hashing_busy", "undetermined"]
    {
        counter!("account_create_total", "outcome" => outcome).increment(0);
    }
    for outcome in ["accepted", "refused"] {
        counter!("account_sign_in_total", "outcome" => outcome).increment(0);
    }
    for reason in ["changed", "connection_lost", "contention", "unexplained", "unseen"] {
        counter!("account_db_retry_total", "reason" => reason).increment(0);
    }
    for name in [
        "account_create_race_recovered_total",
        "account_hash_rejected_total",
        "account_record_lost_total",
    ] {
        counter!(name).increment(0);
    }
    gauge!("account_hash_queue").set(0.0);
}

/// Tells of each request: its id, its route and not its URL, which may name somebody, and what it
/// was answered.
pub(crate) async fn tell<C: Database>(
    State(app): State<Arc<App<C>>>,
    mut request: Request,
    next: Next,
) -> Response {
    let id = given_request_id(&request, &app.config.trusted_proxies)
        .or_else(|| random_text().ok().and_then(|id| id.try_into().ok()));
    request.headers_mut().remove(&REQUEST_ID);
    if let Some(id) = &id {
        request.headers_mut().insert(REQUEST_ID, id.clone());
    }
    let route = request.extensions().get::<MatchedPath>();
    let route = route.map_or_else(|| "none".to_owned(), |route| route.as_str().to_owned());
    let method = known_method(&request);
    let text = id.as_ref().and_then(|id| id.to_str().ok()).unwrap_or_default();
    let span = info_span!("request", request_id = text, method, route);
    let began = Instant::now();
    let mut response = next.run(request).instrument(span.clone()).await;
    let (status, seconds) = (response.status().as_u16(), began.elapsed().as_secs_f64());
    span.in_scope(|| tracing::info!(status, seconds, "answered"));
    let labels = [("method", method.to_owned()), ("route", route), ("status", status.to_string())];
    counter!("http_requests_total", &labels).increment(1);
    histogram!("http_request_seconds", &labels[..2]).record(seconds);
    if let Some(id) = id {
        response.headers_mut().insert(REQUEST_ID, id);
    }
    response
}

/// Anybody can make up a method, and each would be a series of its own.
fn known_method(request: &Request) -> &'static str {
    match request.method().as_str() {
        "GET" => "GET",
        "HEAD" => "HEAD",
        "POST" => "POST",
        _ => "other",
    }
}

const BUCKETS: [f64; 12] = [0.001, 0.005, 0.01, 0.025, 0.05, 0.1, 0.25, 0.5, 1.0, 2.5, 5.0, 10.0];
