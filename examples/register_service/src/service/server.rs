//! The routes, what stands around them, and the life of the process.

use std::error::Error;
use std::future::Future;
use std::net::SocketAddr;
use std::sync::Arc;
use std::sync::atomic::Ordering;
use std::time::{Duration, SystemTime};

use axum::Router;
use axum::http::{HeaderName, HeaderValue, StatusCode, header};
use axum::middleware::from_fn;
use axum::response::IntoResponse;
use axum::routing::{get, post};
use diesel_accounts::Timestamp;
use metrics_exporter_prometheus::PrometheusHandle;
use tokio::net::TcpListener;
use tokio::signal::unix::{SignalKind, signal};
use tower_http::set_header::SetResponseHeaderLayer;
use tower_http::timeout::TimeoutLayer;

use super::answer::Trouble;
use super::app::{App, Database, now};
use super::pages::Page;
use super::{admin, health, login, pages, register, sessions, telemetry};

/// Serves until it is told to stop, and all that was begun is answered.
pub(crate) async fn serve<C: Database>(
    app: Arc<App<C>>,
    metrics: PrometheusHandle,
) -> Result<(), Box<dyn Error>> {
    let listener = TcpListener::bind(app.config.listen).await?;
    let metrics_listener = TcpListener::bind(app.config.metrics_listen).await?;
    if app.config.secret_is_new {
        tracing::warn!("there is no SECRET_KEY: sessions end with this process");
    }
    tracing::info!(
        address = %listener.local_addr()?,
        metrics = %metrics_listener.local_addr()?,
        "listening"
    );
    let stop = told_to_stop(Arc::clone(&app))?;
    tokio::spawn(axum::serve(metrics_listener, metrics_routes(metrics)).into_future());
    tokio::spawn(forget_old(Arc::clone(&app)));
    let service = routes(app).into_make_service_with_connect_info::<SocketAddr>();
    axum::serve(listener, service).with_graceful_shutdown(stop).await?;
    tracing::info!("stopped");
    Ok(())
}

fn routes<C: Database>(app: Arc<App<C>>) -> Router {
    let with_sessions = Router::new()
        .route("/login", get(pages::login_form::<C>).post(pages::login::<C>))
        .route("/logout", post(pages::logout::<C>))
        .route("/account", get(pages::account::<C>))
        .route("/admin/users", get(admin::users::<C>))
        .route("/api/v1/accounts/login", post(login::login::<C>))
        .route("/api/v1/accounts/me", get(login::me::<C>))
        .route("/api/v1/accounts/password", post(login::change_password::<C>))
        .layer(sessions::layer(&app));
    let header = SetResponseHeaderLayer::overriding;
    Router::new()
        .route("/", get(pages::home::<C>).post(pages::register::<C>))
        .route("/welcome", get(pages::welcome))
        .route("/api/v1/accounts/register", post(register::register::<C>))
        .route("/healthz", get(health::healthz))
        .route("/readyz", get(health::readyz::<C>))
        .merge(with_sessions)
        // Nothing of a person is kept on the way.
        .layer(header(header::CACHE_CONTROL, HeaderValue::from_static("no-store")))
        .merge(assets())
        .fallback(|| async { Page(Trouble::NotFound) })
        .layer(header(header::CONTENT_SECURITY_POLICY, HeaderValue::from_static(POLICY)))
        .layer(header(header::X_CONTENT_TYPE_OPTIONS, HeaderValue::from_static("nosniff")))
        .layer(header(header::X_FRAME_OPTIONS, HeaderValue::from_static("DENY")))
        .layer(header(header::REFERRER_POLICY, HeaderValue::from_static("no-referrer")))
        .layer(header(OPENER_POLICY, HeaderValue::from_static("same-origin")))
        .layer(TimeoutLayer::with_status_code(StatusCode::SERVICE_UNAVAILABLE, LONGEST_REQUEST))
        .layer(from_fn(telemetry::tell))
        .with_state(app)
}

fn assets<S: Clone + Send + Sync + 'static>() -> Router<S> {
    let asset = |kind: &'static str, text: &'static str| {
        get(move || async move {
            let headers =
                [(header::CONTENT_TYPE, kind), (header::CACHE_CONTROL, "public, max-age=300")];
            (headers, text).into_response()
        })
    };
    let script = include_str!("../../assets/page.js");
    let style = include_str!("../../assets/style.css");
    let icon = include_str!("../../assets/icon.svg");
    Router::new()
        .route("/assets/page.js", asset("text/javascript; charset=utf-8", script))
        .route("/assets/style.css", asset("text/css; charset=utf-8", style))
        .route("/assets/icon.svg", asset("image/svg+xml", icon))
        .route("/openapi.json", asset("application/json", include_str!("../../openapi.json")))
}

/// `/metrics` alone, on an address that the world need not reach.
fn metrics_routes(metrics: PrometheusHandle) -> Router {
    Router::new().route(
        "/metrics",
        get(move || async move {
            metrics.run_upkeep();
            let kind = [(header::CONTENT_TYPE, "text/plain; version=0.0.4; charset=utf-8")];
            (kind, metrics.render())
        }),
    )
}

/// Done when the process is told to stop. From then on it is not ready, and takes no connection.
fn told_to_stop<C: Database>(
    app: Arc<App<C>>,
) -> std::io::Result<impl Future<Output = ()> + Send + 'static> {
    let (mut terminate, mut interrupt) =
        (signal(SignalKind::terminate())?, signal(SignalKind::interrupt())?);
    Ok(async move {
        tokio::select! {
            _ = terminate.recv() => {}
            _ = interrupt.recv() => {}
        }
        app.is_stopping.store(true, Ordering::Relaxed);
        tracing::info!("stopping");
    })
}

/// Deletes what is too old, a little at a time.
async fn forget_old<C: Database>(app: Arc<App<C>>) {
    let mut times = tokio::time::interval(BETWEEN_SWEEPS);
    loop {
        times.tick().await;
        // What fails now is done the next time.
        let _ = app.query(|conn| conn.forget_expired(now(), ROWS_OF_A_SWEEP)).await;
        let before = Timestamp::from(SystemTime::now() - EVENTS_KEPT_FOR);
        let _ = app.users.forget_old_events(before, 500).await;
        let _ = app.users.forget_old_attempts(500).await;
    }
}

/// Scripts and styles are ours, and no other site shows or gets anything.
const POLICY: &str = "default-src 'none'; script-src 'self'; style-src 'self'; img-src 'self'; \
    form-action 'self'; base-uri 'none'; frame-ancestors 'none'";
const OPENER_POLICY: HeaderName = HeaderName::from_static("cross-origin-opener-policy");

/// Longer than everything that a request waits for by itself.
const LONGEST_REQUEST: Duration = Duration::from_secs(40);

const BETWEEN_SWEEPS: Duration = Duration::from_secs(600);
const ROWS_OF_A_SWEEP: i64 = 500;
const EVENTS_KEPT_FOR: Duration = Duration::from_secs(180 * 86_400);
