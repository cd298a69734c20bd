//! The list of users, for the users that the settings name.

use std::sync::Arc;

use axum::extract::{RawQuery, State};
use axum::response::{IntoResponse, Response};
use diesel_accounts::{Timestamp, User, UserCursor, UserState};
use maud::{Markup, html};
use serde::Deserialize;
use tower_sessions::Session;

use super::answer::Trouble;
use super::app::{App, Database};
use super::pages::{Page, page};

/// `GET /admin/users`. Whoever may not see it is not told that it is there.
pub(crate) async fn users<C: Database>(
    State(app): State<Arc<App<C>>>,
    session: Session,
    RawQuery(query): RawQuery,
) -> Result<Response, Page> {
    if app.config.admins.is_empty() {
        return Err(Page(Trouble::NotFound));
    }
    match app.signed_in(&session).await? {
        Some(user) if app.config.admins.contains(&user.id()) => {}
        _ => return Err(Page(Trouble::NotFound)),
    }
    let unreadable = |_| Trouble::BadRequest("There is no such list.");
    let query = serde_urlencoded::from_str::<AdminQuery>(&query.unwrap_or_default());
    let query = query.map_err(unreadable)?;
    let search = query.search.as_deref().map(str::trim).unwrap_or_default();
    let after = query.after.as_deref().filter(|after| !after.is_empty());
    let mut found = match search.is_empty() {
        true => {
            let unreadable = |_| Trouble::BadRequest("There is no such place in the list.");
            let after = after.map(str::parse::<UserCursor>).transpose().map_err(unreadable)?;
            app.users.list_users(after, A_PAGE + 1).await?
        }
        false if search.contains('@') => {
            app.users.users_by_email_prefix(search, after.map(str::to_owned), A_PAGE + 1).await?
        }
        false => {
            app.users.users_by_username_prefix(search, after.map(str::to_owned), A_PAGE + 1).await?
        }
    };
    let has_more = found.len() > A_PAGE as usize;
    found.truncate(A_PAGE as usize);
    let next = found.last().filter(|_| has_more).map(|last| place_behind(last, search));
    Ok(page("Users", &list(&found, search, next.as_deref())).into_response())
}

/// What may follow `/admin/users`.
#[derive(Deserialize)]
pub(crate) struct AdminQuery {
    search: Option<String>,
    after: Option<String>,
}

fn place_behind(user: &User, search: &str) -> String {
    let name = match search {
        "" => return user.cursor().to_string(),
        search if search.contains('@') => user.email(),
        _ => user.username(),
    };
    name.unwrap_or_default().to_owned()
}

fn list(users: &[User], search: &str, next: Option<&str>) -> Markup {
    let query = |after: &str| {
        serde_urlencoded::to_string([("search", search), ("after", after)]).unwrap_or_default()
    };
    html! {
        h1 { "Users" }
        form.search method="get" action="/admin/users" role="search" {
            label for="search" { "Begins with (a username, or an address with its @)" }
            input #search name="search" type="search" value=(search) autocapitalize="none";
            button { "Search" }
        }
        @if users.is_empty() {
            p role="status" { "There is nobody." }
        } @else {
            div.wide tabindex="0" role="region" aria-label="Users" {
                table {
                    thead { tr {
                        th scope="col" { "Username" } th scope="col" { "Email" }
                        th scope="col" { "State" } th scope="col" { "Created (UTC)" }
                        th scope="col" { "Last log-in (UTC)" } th scope="col" { "Id" }
                    } }
                    tbody {
                        @for user in users {
                            tr {
                                td { (user.username().unwrap_or("")) }
                                td { (user.email().unwrap_or("")) }
                                td { (state(user)) }
                                td { (time(Some(user.created_at()))) }
                                td { (time(user.last_sign_in_at())) }
                                td { code { (user.id()) } }
                            }
                        }
                    }
                }
            }
        }
        p { a href="/account" { "Your account" } }
        @if let Some(next) = next {
            p { a.button href={ "/admin/users?" (query(next)) } rel="next" { "Next page" } }
        }
    }
}

fn state(user: &User) -> &'static str {
    match user.state() {
        UserState::Active => "active",
        UserState::Disabled => "disabled",
        _ => "reserved",
    }
}

/// To the minute.
fn time(time: Option<Timestamp>) -> Markup {
    let seconds = time.map(|time| time.as_micros().div_euclid(1_000_000));
    let time = seconds.and_then(|seconds| jiff::Timestamp::from_second(seconds).ok());
    html! {
        @if let Some(time) = time {
            time datetime=(time) { (time.strftime("%Y-%m-%d %H:%M")) }
        }
    }
}

const A_PAGE: u32 = 50;
