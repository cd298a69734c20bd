//! The routes, what stands around them, and the life of the process.

use std::error::Error;
use std::net::SocketAddr;
use std::sync::Arc;
use std::sync::atomic::Ordering;
use std::time::{Duration, SystemTime};

use axum::Router;
use axum::extract::ConnectInfo;
use axum::http::{HeaderName, HeaderValue, Request, header};
use axum::middleware::{from_fn, from_fn_with_state};
use axum::response::IntoResponse;
use axum::routing::{get, post};
use diesel_accounts::Timestamp;
use hyper::body::Incoming;
use hyper::server::conn::http1;
use hyper::service::service_fn;
use hyper_util::rt::{TokioIo, TokioTimer};
use hyper_util::server::graceful::GracefulShutdown;
use metrics_exporter_prometheus::PrometheusHandle;
use tokio::net::{TcpListener, TcpStream};
use tokio::signal::unix::{Signal, SignalKind, signal};
use tokio::sync::{OwnedSemaphorePermit, Semaphore};
use tokio::time::Instant;
use tokio_io_timeout::TimeoutStream;
use tower::ServiceExt;
use tower::util::option_layer;
use tower_http::set_header::SetResponseHeaderLayer;

use super::answer::Trouble;
use super::app::{App, Database, now};
use super::pages::Page;
use super::{admin, health, login, pages, register, sessions, telemetry, unanswered};

/// Serves until it is told to stop, and all that was begun is answered; how much is left of the time
/// for that.
pub(crate) async fn serve<C: Database>(
    app: Arc<App<C>>,
    metrics: PrometheusHandle,
) -> Result<Duration, Box<dyn Error>> {
    let listener = TcpListener::bind(app.config.listen).await?;
    let metrics_listener = TcpListener::bind(app.config.metrics_listen).await?;
    if app.config.secret_is_new {
        tracing::warn!(
            "there is no SECRET_KEY: sessions, limits and open forms end with this process"
        );
    }
    if app.config.https {
        tracing::info!("cookies are kept to TLS: browsers must come through a proxy that ends it");
    }
    // Whoever reads that it listens may tell it to stop.
    let mut signals = Signals::new()?;
    tracing::info!(
        address = %listener.local_addr()?,
        metrics = %metrics_listener.local_addr()?,
        "listening"
    );
    tokio::spawn(axum::serve(metrics_listener, metrics_routes(metrics.clone())).into_future());
    tokio::spawn(forget_old(Arc::clone(&app)));
    tokio::spawn(keep_metrics_small(metrics));
    let connections = Connections::new(&routes(&app));
    tokio::select! {
        () = connections.accept_all(&listener) => {}
        () = signals.told_to_stop() => {}
    }
    app.is_stopping.store(true, Ordering::Relaxed);
    tracing::info!("stopping");
    tokio::select! {
        rest = end(&app, connections, listener) => Ok(rest),
        () = signals.told_again() => {
            tracing::warn!("stopped at once, for it was told again");
            Ok(Duration::ZERO)
        }
    }
}

/// Answers everything that was begun, if that does not take too long; how much time is left.
async fn end<C: Database>(
    app: &App<C>,
    connections: Connections,
    listener: TcpListener,
) -> Duration {
    // Whoever distributes requests sees that it is not ready, and sends no more.
    let _ = tokio::time::timeout(app.config.grace, connections.accept_all(&listener)).await;
    drop(listener);
    let until = Instant::now() + LONGEST_END;
    let ended = async {
        connections.graceful.shutdown().await;
        app.tasks.close();
        app.tasks.wait().await;
    };
    match tokio::time::timeout_at(until, ended).await {
        Ok(()) => tracing::info!("stopped"),
        Err(_) => tracing::warn!("stopped, with requests that did not end"),
    }
    until.saturating_duration_since(Instant::now())
}

/// The connections that are open.
struct Connections {
    http: http1::Builder,
    routes: Router,
    places: Arc<Semaphore>,
    graceful: GracefulShutdown,
}

impl Connections {
    fn new(routes: &Router) -> Self {
        let mut http = http1::Builder::new();
        http.timer(TokioTimer::new()).header_read_timeout(LONGEST_HEAD);
        let places = Arc::new(Semaphore::new(MOST_CONNECTIONS));
        Self { http, routes: routes.clone(), places, graceful: GracefulShutdown::new() }
    }

    async fn accept_all(&self, listener: &TcpListener) {
        while let Ok(place) = Arc::clone(&self.places).acquire_owned().await {
            match listener.accept().await {
                Ok((stream, peer)) => self.serve(stream, peer, place),
                // Out of files, most of the time: some are closed in a moment.
                Err(_) => tokio::time::sleep(Duration::from_millis(100)).await,
            }
        }
    }

    fn serve(&self, stream: TcpStream, peer: SocketAddr, place: OwnedSemaphorePermit) {
        let routes = self.routes.clone();
        let service = service_fn(move |mut request: Request<Incoming>| {
            request.extensions_mut().insert(ConnectInfo(peer));
            routes.clone().oneshot(request)
        });
        let mut stream = TimeoutStream::new(stream);
        stream.set_write_timeout(Some(LONGEST_WRITE));
        let connection = self.http.serve_connection(TokioIo::new(Box::pin(stream)), service);
        let connection = self.graceful.watch(connection);
        tokio::spawn(async move {
            // A client that goes away is no trouble of ours.
            let _ = connection.await;
            drop(place);
        });
    }
}

fn routes<C: Database>(app: &Arc<App<C>>) -> Router {
    let with_sessions = Router::new()
        .route("/login", get(pages::login_form::<C>).post(pages::login::<C>))
        .route("/logout", post(pages::logout::<C>))
        .route("/account", get(pages::account::<C>))
        .route("/admin/users", get(admin::users::<C>))
        .route("/api/v1/accounts/login", post(login::login::<C>))
        .route("/api/v1/accounts/me", get(login::me::<C>))
        .route("/api/v1/accounts/password", post(login::change_password::<C>))
        .layer(sessions::layer(app))
        .layer(from_fn(unanswered::of_sessions));
    let header = SetResponseHeaderLayer::overriding;
    Router::new()
        .route("/", get(pages::home::<C>).post(pages::register::<C>))
        .route("/welcome", get(pages::welcome))
        .route("/api/v1/accounts/register", post(register::register::<C>))
        .route("/healthz", get(health::healthz))
        .route("/readyz", get(health::readyz::<C>))
        .merge(with_sessions)
        .layer(from_fn_with_state(LONGEST_REQUEST, unanswered::in_time))
        // Nothing of a person is kept on the way.
        .layer(header(header::CACHE_CONTROL, HeaderValue::from_static("no-store")))
        .merge(assets())
        .fallback(|| async { Page(Trouble::NotFound) })
        .layer(header(header::CONTENT_SECURITY_POLICY, HeaderValue::from_static(POLICY)))
        .layer(header(header::X_CONTENT_TYPE_OPTIONS, HeaderValue::from_static("nosniff")))
        .layer(header(header::X_FRAME_OPTIONS, HeaderValue::from_static("DENY")))
        .layer(header(header::REFERRER_POLICY, HeaderValue::from_static("no-referrer")))
        .layer(header(OPENER_POLICY, HeaderValue::from_static("same-origin")))
        .layer(from_fn_with_state(Arc::clone(app), telemetry::tell::<C>))
        .layer(option_layer(
            app.config.https.then(|| header(header::STRICT_TRANSPORT_SECURITY, HSTS)),
        ))
        .with_state(Arc::clone(app))
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
            let kind = [(header::CONTENT_TYPE, "text/plain; version=0.0.4; charset=utf-8")];
            (kind, metrics.render())
        }),
    )
}

/// What tells the process to stop.
struct Signals {
    terminate: Signal,
    interrupt: Signal,
}

impl Signals {
    fn new() -> std::io::Result<Self> {
        let terminate = signal(SignalKind::terminate())?;
        Ok(Self { terminate, interrupt: signal(SignalKind::interrupt())? })
    }

    async fn told_to_stop(&mut self) {
        tokio::select! {
            _ = self.terminate.recv() => {}
            _ = self.interrupt.recv() => {}
        }
    }

    /// Somebody at a terminal does not want to wait. A second `SIGTERM` says nothing of the kind:
    /// what passes signals on often sends it twice.
    async fn told_again(&mut self) {
        self.interrupt.recv().await;
    }
}

/// What is recorded is gathered at times, whether or not somebody asks for it.
async fn keep_metrics_small(metrics: PrometheusHandle) {
    let mut times = tokio::time::interval(Duration::from_secs(5));
    loop {
        times.tick().await;
        metrics.run_upkeep();
    }
}

/// Deletes what is too old, a little at a time.
async fn forget_old<C: Database>(app: Arc<App<C>>) {
    let mut times = tokio::time::interval(BETWEEN_SWEEPS);
    loop {
        times.tick().await;
        // What fails now is done the next time.
        let forget = || app.query(|conn| conn.forget_expired(now(), ROWS_OF_A_SWEEP));
        while forget().await.is_ok_and(|forgotten| forgotten > 0) {}
        let before = Timestamp::from(SystemTime::now() - EVENTS_KEPT_FOR);
        let forget = || app.users.forget_old_events(before, 500);
        while forget().await.is_ok_and(|forgotten| forgotten > 0) {}
        let forget = || app.users.forget_old_attempts(500);
        while forget().await.is_ok_and(|forgotten| forgotten > 0) {}
    }
}

/// Scripts and styles are ours, and no other site shows or gets anything.
const POLICY: &str = "default-src 'none'; script-src 'self'; style-src 'self'; img-src 'self'; \
    form-action 'self'; base-uri 'none'; frame-ancestors 'none'";
const HSTS: HeaderValue = HeaderValue::from_static("max-age=31536000");
const OPENER_POLICY: HeaderName = HeaderName::from_static("cross-origin-opener-policy");

/// A request waits for its body, for a connection, for its turn to hash and for locks, one after the
/// other, which can be longer than this. Whoever is not answered by then asks again: a registration
/// that was begun goes on meanwhile.
const LONGEST_REQUEST: Duration = Duration::from_secs(40);
/// Whoever sends the head of a request byte by byte keeps a connection for so long.
const LONGEST_HEAD: Duration = Duration::from_secs(10);
/// Whoever reads nothing of an answer for so long is not sent the rest.
const LONGEST_WRITE: Duration = Duration::from_secs(30);
/// More than these wait until one of them is closed.
const MOST_CONNECTIONS: usize = 1024;
/// From taking no connections any more to the end, whoever is not answered by then: longer than a
/// request takes until it is given up, so that nothing is lost that was begun.
const LONGEST_END: Duration = Duration::from_secs(45);

const BETWEEN_SWEEPS: Duration = Duration::from_secs(600);
const ROWS_OF_A_SWEEP: i64 = 500;
const EVENTS_KEPT_FOR: Duration = Duration::from_secs(180 * 86_400);
