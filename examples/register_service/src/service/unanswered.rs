//! What is told where no view had an answer: it took too long, or the sessions failed behind it.

use std::time::Duration;

use axum::extract::{Request, State};
use axum::http::{StatusCode, header};
use axum::middleware::Next;
use axum::response::{IntoResponse, Response};

use super::answer::{A_MOMENT, Trouble};
use super::pages::Page;

/// Nobody waits for ever: neither for us, nor we for the rest of a request.
pub(crate) async fn in_time(
    State(longest): State<Duration>,
    request: Request,
    next: Next,
) -> Response {
    let reader = Reader::of(&request);
    match tokio::time::timeout(longest, next.run(request)).await {
        Ok(response) => response,
        Err(_) => reader.told_nothing(),
    }
}

/// The layer of the sessions answers with an empty 500 where the store fails it, which is not the
/// client's end.
pub(crate) async fn of_sessions(request: Request, next: Next) -> Response {
    let reader = Reader::of(&request);
    let response = next.run(request).await;
    let is_of_the_layer = response.status() == StatusCode::INTERNAL_SERVER_ERROR
        && !response.headers().contains_key(header::CONTENT_TYPE);
    match is_of_the_layer {
        true => reader.told_nothing(),
        false => response,
    }
}

/// Who reads the answer.
enum Reader {
    Person,
    Program,
}

impl Reader {
    fn of(request: &Request) -> Self {
        match request.uri().path() {
            "/healthz" | "/readyz" => Self::Program,
            path if path.starts_with("/api/") => Self::Program,
            _ => Self::Person,
        }
    }

    fn told_nothing(self) -> Response {
        match self {
            Self::Person => Page(Trouble::Unknown).into_response(),
            Self::Program => Trouble::Unavailable(A_MOMENT).into_response(),
        }
    }
}

#[cfg(test)]
mod tests {
    use std::future::pending;
    use std::time::Duration;

    use axum::Router;
    use axum::body::Body;
    use axum::extract::Request;
    use axum::http::{StatusCode, header};
    use axum::middleware::{from_fn, from_fn_with_state};
    use axum::response::Response;
    use http_body_util::BodyExt;
    use tower::ServiceExt;

    use super::{in_time, of_sessions};

    /// The status, the type and the text of an answer that asks to come again.
    async fn answer(routes: &Router, path: &str) -> (StatusCode, String, String) {
        let request = Request::builder().uri(path).body(Body::empty()).unwrap();
        let answer = routes.clone().oneshot(request).await.unwrap();
        let kind = answer.headers()[header::CONTENT_TYPE].to_str().unwrap().to_owned();
        assert_eq!(answer.headers()[header::RETRY_AFTER], "2", "{path}");
        let status = answer.status();
        let body = answer.into_body().collect().await.unwrap().to_bytes();
        (status, kind, String::from_utf8(body.to_vec()).unwrap())
    }

    async fn is_told_to_people_and_to_programs(routes: &Router) {
        for path in ["/", "/login", "/account", "/admin/users", "/apiary"] {
            let (status, kind, text) = answer(routes, path).await;
            assert_eq!((status, &*kind), (StatusCode::SERVICE_UNAVAILABLE, HTML), "{path}");
            assert!(text.contains("not known yet whether that was done"), "{path} {text}");
            assert!(text.contains("trying again does no harm"), "{path} {text}");
        }
        for path in ["/api/v1/accounts/register", "/api/v1/accounts/me", "/healthz", "/readyz"] {
            let (status, kind, text) = answer(routes, path).await;
            assert_eq!((status, &*kind), (StatusCode::SERVICE_UNAVAILABLE, "application/json"));
            assert!(text.contains("send the same request again"), "{path} {text}");
        }
    }

    #[tokio::test]
    async fn what_takes_too_long_is_told_to_people_as_a_page_and_to_programs_as_json() {
        let routes = Router::new()
            .fallback(pending::<Response>)
            .layer(from_fn_with_state(Duration::ZERO, in_time));
        is_told_to_people_and_to_programs(&routes).await;
    }

    #[tokio::test]
    async fn what_the_sessions_fail_is_told_to_people_as_a_page_and_to_programs_as_json() {
        let failed = || async { StatusCode::INTERNAL_SERVER_ERROR };
        let routes = Router::new().fallback(failed).layer(from_fn(of_sessions));
        is_told_to_people_and_to_programs(&routes).await;
    }

    #[tokio::test]
    async fn what_is_answered_in_time_is_left_as_it_is() {
        let routes = Router::new()
            .fallback(|| async { (StatusCode::IM_A_TEAPOT, [(header::RETRY_AFTER, "2")], "tea") })
            .layer(from_fn(of_sessions))
            .layer(from_fn_with_state(Duration::ZERO, in_time));
        let (status, _, text) = answer(&routes, "/").await;
        assert_eq!((status, &*text), (StatusCode::IM_A_TEAPOT, "tea"));
    }

    const HTML: &str = "text/html; charset=utf-8";
}
