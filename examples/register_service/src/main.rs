//! The view that registers people, done right: an HTTP API, a page, sessions, limits, logs, metrics.
//!
//! ```sh
//! cargo run -p register_service
//! ```

use std::process::ExitCode;

use register_service::service::{Config, USAGE, run};

#[expect(clippy::print_stdout, reason = "it is what whoever asks for help wants to read")]
fn main() -> ExitCode {
    let config = match Config::from_arguments_and_environment() {
        Ok(Some(config)) => config,
        Ok(None) => {
            println!("{USAGE}");
            return ExitCode::SUCCESS;
        }
        Err(error) => {
            eprintln!("register_service: {error}\n\n{USAGE}");
            return ExitCode::from(2);
        }
    };
    match run(config) {
        Ok(()) => ExitCode::SUCCESS,
        Err(error) => {
            eprintln!("register_service: {error}");
            ExitCode::FAILURE
        }
    }
}
