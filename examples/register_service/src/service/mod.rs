//! The service: its settings, its HTTP interface, its page.

use std::error::Error;

mod admin;
mod answer;
mod app;
mod client;
mod config;
mod forms;
mod health;
mod idempotency;
mod keys;
mod login;
mod pages;
mod register;
mod server;
mod sessions;
mod tables;
mod telemetry;
mod unanswered;

pub use self::config::{Config, InvalidConfig, USAGE};

use crate::support::{Database, with_pool};

/// Runs the service until it is told to stop (`SIGTERM`, `SIGINT`) and everything in flight is
/// answered; a `SIGINT` after that ends it at once.
///
/// # Errors
///
/// If the database cannot be reached or brought up to date, or an address is taken.
pub fn run(config: Config) -> Result<(), Box<dyn Error>> {
    let metrics = telemetry::install(&config)?;
    let database = Database::connect(Some(config.database_url.clone()), config.connections)?;
    let runtime = tokio::runtime::Runtime::new()?;
    with_pool!(database, |pool| {
        let app = app::App::start(pool, config)?;
        let rest = runtime.block_on(server::serve(app, metrics))?;
        // What is done for nobody any more, as the sign-in of a client that is gone, has what is
        // left of the time. Without a limit the runtime would wait for it as long as it takes.
        runtime.shutdown_timeout(rest);
        Ok(())
    })
}
