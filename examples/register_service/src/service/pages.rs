//! The pages: they work without JavaScript, and better with it.

use std::collections::BTreeMap;
use std::sync::Arc;
use std::time::{Duration, Instant};

use axum::body::{Body, Bytes};
use axum::extract::{RawQuery, State};
use axum::http::{HeaderMap, StatusCode};
use axum::response::{Html, IntoResponse, Redirect, Response};
use diesel_accounts::Matched;
use maud::{DOCTYPE, Markup, html};
use serde::Deserialize;
use tower_sessions::Session;

use super::answer::{A_MOMENT, Trouble, by_field};
use super::app::{App, Database};
use super::client::Client;
use super::forms::{FormToken, HasToken};
use super::idempotency::IdempotencyKey;
use super::register::Registered;
use super::sessions::removed_cookie;
use crate::Registration;

/// `GET /`: the form.
pub(crate) async fn home<C: Database>(
    State(app): State<Arc<App<C>>>,
    headers: HeaderMap,
) -> Result<Response, Page> {
    registration_page(&app, &headers, StatusCode::OK, &Typed::default())
}

/// `POST /`: somebody registers.
pub(crate) async fn register<C: Database>(
    State(app): State<Arc<App<C>>>,
    client: Client,
    headers: HeaderMap,
    body: Body,
) -> Result<Response, Page> {
    let (form, body) = app.read_form::<RegistrationForm>(&headers, body).await?;
    let mut typed =
        Typed { username: form.username.clone(), email: form.email.clone(), ..Typed::default() };
    match register_by_form(&app, client, &form, body).await {
        Ok(Registered { matched: None, .. }) => Ok(Redirect::to("/welcome").into_response()),
        Ok(Registered { matched: Some(Matched::Username), .. }) => {
            typed.name_is_taken = true;
            registration_page(&app, &headers, StatusCode::OK, &typed)
        }
        Ok(_) => Ok(Redirect::to("/login?next=exists").into_response()),
        Err(Trouble::Invalid(invalid)) => {
            typed.errors = by_field(&invalid);
            registration_page(&app, &headers, StatusCode::BAD_REQUEST, &typed)
        }
        Err(trouble) => {
            typed.trouble = Some(match trouble {
                Trouble::Taken => TAKEN.to_owned(),
                Trouble::Running | Trouble::Unavailable(_) => NOT_NOW.to_owned(),
                _ => trouble.detail(),
            });
            let page = registration_page(&app, &headers, trouble.status(), &typed)?;
            Ok((trouble.retry_after_header(), page).into_response())
        }
    }
}

async fn register_by_form<C: Database>(
    app: &Arc<App<C>>,
    client: Client,
    form: &RegistrationForm,
    body: Bytes,
) -> Result<Registered, Trouble> {
    app.limit_requests(&client).await?;
    let filled = app.keys.digest("filling", &[&body]);
    let key = IdempotencyKey::of_form(&form.token, &filled);
    let until = Instant::now() + LONGEST_DOUBLE_CLICK;
    loop {
        let registration = Registration::new(
            form.username.clone(),
            form.email.clone(),
            form.password.clone().into(),
        );
        let answer =
            app.register(client.clone(), registration, Some(key.clone()), body.clone()).await;
        // The first of two clicks is being answered: the second hears the same.
        if !matches!(answer, Err(Trouble::Running)) || Instant::now() >= until {
            return answer;
        }
        tokio::time::sleep(BETWEEN_LOOKS).await;
    }
}

/// `GET /welcome`: what comes after a registration.
pub(crate) async fn welcome() -> Html<String> {
    page(
        "Welcome",
        &html! {
            h1 { "Welcome" }
            p role="status" { "Your account has been created. You can log in now." }
            p { a.button href="/login" { "Log in" } }
        },
    )
}

/// `GET /login`: the form.
pub(crate) async fn login_form<C: Database>(
    State(app): State<Arc<App<C>>>,
    RawQuery(query): RawQuery,
    headers: HeaderMap,
) -> Result<Response, Page> {
    let exists = query.as_deref() == Some("next=exists");
    login_page(&app, &headers, StatusCode::OK, "", exists.then_some(EXISTS), None)
}

/// `POST /login`.
pub(crate) async fn login<C: Database>(
    State(app): State<Arc<App<C>>>,
    client: Client,
    session: Session,
    headers: HeaderMap,
    body: Body,
) -> Result<Response, Page> {
    let (form, _) = app.read_form::<LoginForm>(&headers, body).await?;
    let LoginForm { login, password, .. } = form;
    match app.sign_in(client, &session, &headers, login.clone(), password.into()).await {
        Ok((_, device)) => Ok((device, Redirect::to("/account")).into_response()),
        Err(trouble @ (Trouble::Unauthorized(_) | Trouble::TooOften(_))) => {
            let (status, detail) = (trouble.status(), trouble.detail());
            let page = login_page(&app, &headers, status, &login, None, Some(&detail))?;
            Ok((trouble.retry_after_header(), page).into_response())
        }
        Err(trouble) => Err(Page(trouble)),
    }
}

/// `GET /account`: who is signed in.
pub(crate) async fn account<C: Database>(
    State(app): State<Arc<App<C>>>,
    session: Session,
    headers: HeaderMap,
) -> Result<Response, Page> {
    let Some(user) = app.signed_in(&session).await? else {
        return Ok(Redirect::to("/login").into_response());
    };
    let FormToken { token, cookie } = app.form_token(&headers)?;
    let body = html! {
        h1 { "Your account" }
        dl {
            dt { "Username" } dd { (user.username().unwrap_or("none")) }
            dt { "Email" } dd { (user.email().unwrap_or("none")) }
        }
        form method="post" action="/logout" {
            input type="hidden" name="token" value=(token);
            button { "Log out" }
        }
        @if app.config.admins.contains(&user.id()) {
            p { a href="/admin/users" { "All users" } }
        }
    };
    Ok((cookie, page("Your account", &body)).into_response())
}

/// `POST /logout`.
pub(crate) async fn logout<C: Database>(
    State(app): State<Arc<App<C>>>,
    session: Session,
    headers: HeaderMap,
    body: Body,
) -> Result<Response, Page> {
    app.read_form::<LogoutForm>(&headers, body).await?;
    session.flush().await.map_err(|_| Trouble::Unavailable(A_MOMENT))?;
    let cookie = removed_cookie(app.config.https);
    Ok((cookie, Redirect::to("/login")).into_response())
}

/// Trouble, as a page.
#[derive(Debug)]
pub(crate) struct Page(pub(crate) Trouble);

impl From<Trouble> for Page {
    fn from(trouble: Trouble) -> Self {
        Self(trouble)
    }
}

impl From<diesel_accounts::Error> for Page {
    fn from(error: diesel_accounts::Error) -> Self {
        Self(error.into())
    }
}

impl IntoResponse for Page {
    fn into_response(self) -> Response {
        let (status, detail) = (self.0.status(), self.0.detail());
        let retry_after = self.0.retry_after_header();
        let body = html! {
            h1 { "That did not work" }
            p role="alert" { (detail) }
            p { a href="/" { "Back to the start" } }
        };
        (status, retry_after, page("That did not work", &body)).into_response()
    }
}

/// A whole page.
pub(crate) fn page(title: &str, body: &Markup) -> Html<String> {
    let markup = html! {
        (DOCTYPE)
        html lang="en" {
            head {
                meta charset="utf-8";
                meta name="viewport" content="width=device-width, initial-scale=1";
                meta name="color-scheme" content="light dark";
                title { (title) }
                link rel="stylesheet" href="/assets/style.css";
                link rel="icon" href="/assets/icon.svg" type="image/svg+xml";
                script src="/assets/page.js" defer {}
            }
            body {
                main { (body) }
                footer { "An example of diesel-accounts" }
            }
        }
    };
    Html(markup.into_string())
}

/// What somebody typed, and what is wrong with it.
#[derive(Default)]
struct Typed {
    username: String,
    email: String,
    errors: BTreeMap<String, Vec<String>>,
    name_is_taken: bool,
    trouble: Option<String>,
}

impl Typed {
    fn errors_of(&self, field: &str) -> &[String] {
        self.errors.get(field).map_or(&[], Vec::as_slice)
    }
}

fn registration_page<C: Database>(
    app: &Arc<App<C>>,
    headers: &HeaderMap,
    status: StatusCode,
    typed: &Typed,
) -> Result<Response, Page> {
    let FormToken { token, cookie } = app.form_token(headers)?;
    let taken = typed.name_is_taken;
    let body = html! {
        h1 { "Create your account" }
        @if let Some(trouble) = &typed.trouble {
            p.message role="alert" { (trouble) }
        }
        @if taken {
            p #taken .message role="status" {
                "This name is taken: choose another, or "
                a href="/login" { "log in" }
                " if it is yours."
            }
        }
        form #register method="post" action="/" novalidate {
            input type="hidden" name="token" value=(token);
            (field("username", "Username", "text", "username", &typed.username, typed, taken))
            (field("email", "Email", "email", "email", &typed.email, typed, false))
            (field("password", "Password", "password", "new-password", "", typed, false))
            div.strength hidden {
                meter #strength aria-label="Strength of the password" min="0" max="4" low="2" high="3" optimum="4" value="0" {}
                span #strength-text aria-live="polite" {}
            }
            button { "Create account" }
        }
        p { "Do you have an account? " a href="/login" { "Log in" } }
    };
    let title = match typed.errors.is_empty() {
        true => "Create your account",
        false => "Please correct: create your account",
    };
    Ok((status, cookie, page(title, &body)).into_response())
}

/// A field with its label, and everything that is wrong with it.
fn field(
    name: &str,
    label: &str,
    kind: &str,
    autocomplete: &str,
    value: &str,
    typed: &Typed,
    is_focused: bool,
) -> Markup {
    let errors = typed.errors_of(name);
    let is_wrong = !errors.is_empty();
    let is_first = is_wrong
        && typed.errors.keys().min_by_key(|field| place(field)).is_some_and(|first| first == name);
    let described = if is_focused { "taken".to_owned() } else { format!("{name}-errors") };
    html! {
        div.field {
            label for=(name) { (label) }
            input id=(name) name=(name) type=(kind) autocomplete=(autocomplete) value=(value)
                required aria-invalid=[is_wrong.then_some("true")]
                aria-describedby=[(is_wrong || is_focused).then_some(&described)]
                autofocus[is_first || is_focused]
                autocapitalize="none" spellcheck="false";
            ul.errors id={ (name) "-errors" } aria-live="polite" {
                @for error in errors { li { (error) } }
            }
        }
    }
}

/// The order of the fields on the page.
fn place(field: &str) -> usize {
    ["username", "email", "password"].iter().position(|name| *name == field).unwrap_or(3)
}

fn login_page<C: Database>(
    app: &Arc<App<C>>,
    headers: &HeaderMap,
    status: StatusCode,
    login: &str,
    message: Option<&str>,
    refused: Option<&str>,
) -> Result<Response, Page> {
    let FormToken { token, cookie } = app.form_token(headers)?;
    let body = html! {
        h1 { "Log in" }
        @if let Some(message) = message { p.message role="status" { (message) } }
        @if let Some(refused) = refused { p.message role="alert" { (refused) } }
        form #login-form method="post" action="/login" {
            input type="hidden" name="token" value=(token);
            div.field {
                label for="login" { "Username or email" }
                input #login name="login" type="text" autocomplete="username" value=(login)
                    required autofocus autocapitalize="none" spellcheck="false";
            }
            div.field {
                label for="password" { "Password" }
                input #password name="password" type="password" autocomplete="current-password"
                    required;
            }
            button { "Log in" }
        }
        p { "Are you new here? " a href="/" { "Create an account" } }
    };
    Ok((status, cookie, page("Log in", &body)).into_response())
}

#[derive(Deserialize)]
struct RegistrationForm {
    token: String,
    username: String,
    email: String,
    password: String,
}

#[derive(Deserialize)]
struct LoginForm {
    token: String,
    login: String,
    password: String,
}

#[derive(Deserialize)]
struct LogoutForm {
    token: String,
}

macro_rules! has_token {
    ($($form:ty),+) => {
        $(impl HasToken for $form {
            fn token(&self) -> &str {
                &self.token
            }
        })+
    };
}
has_token!(LoginForm, LogoutForm, RegistrationForm);

const EXISTS: &str = "You already have an account: log in.";
const TAKEN: &str = "This name or address is taken: log in if it is yours, or choose another.";
const NOT_NOW: &str = "That took too long, and nothing is lost: please send the form again.";

/// The second of two clicks waits for the first for so long.
const LONGEST_DOUBLE_CLICK: Duration = Duration::from_secs(15);
const BETWEEN_LOOKS: Duration = Duration::from_millis(100);
