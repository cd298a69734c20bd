//! Whether it runs, and whether it should be given requests.

use std::sync::Arc;
use std::sync::atomic::Ordering;
use std::time::Duration;

use axum::Json;
use axum::extract::State;
use axum::http::StatusCode;
use serde_json::{Value, json};

use super::app::{App, Database};

/// `GET /healthz`: the process runs.
pub(crate) async fn healthz() -> Json<Value> {
    Json(json!({ "status": "ok" }))
}

/// `GET /readyz`: it takes requests, and the database answers.
pub(crate) async fn readyz<C: Database>(
    State(app): State<Arc<App<C>>>,
) -> (StatusCode, Json<Value>) {
    let unavailable = |status| (StatusCode::SERVICE_UNAVAILABLE, Json(json!({ "status": status })));
    if app.is_stopping.load(Ordering::Relaxed) {
        return unavailable("stopping");
    }
    let asked = app.query(|conn| conn.batch_execute("SELECT 1"));
    match tokio::time::timeout(LONGEST_LOOK, asked).await {
        Ok(Ok(())) => (StatusCode::OK, Json(json!({ "status": "ready" }))),
        _ => unavailable("no database"),
    }
}

const LONGEST_LOOK: Duration = Duration::from_secs(2);
