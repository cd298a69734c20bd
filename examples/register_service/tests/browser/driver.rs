//! Chromedriver, and the Chromium that it leads.

use std::io::{self, BufRead, BufReader};
use std::process::{Child, Command, Stdio};
use std::thread;

use serde_json::{Map, Value, json};
use tempfile::TempDir;

use crate::browser::Javascript;

/// A chromedriver on a free port. It is killed when this is dropped, and Chromium, which reads what to
/// do from a pipe, ends with it.
pub(crate) struct Driver {
    child: Child,
    url: String,
    home: TempDir,
}

impl Driver {
    pub(crate) fn start() -> Self {
        let home = tempfile::tempdir().unwrap();
        // The kernel ends it with us.
        let mut child = Command::new("setpriv")
            .args(["--pdeathsig", "KILL", "chromedriver", "--port=0"])
            .env("HOME", home.path())
            .stdout(Stdio::piped())
            .stderr(Stdio::null())
            .spawn()
            .unwrap();
        let mut output = BufReader::new(child.stdout.take().unwrap());
        let port: u16 = loop {
            let mut line = String::new();
            assert_ne!(
                output.read_line(&mut line).unwrap(),
                0,
                "chromedriver does not start: {INSTALL}"
            );
            if let Some((_, port)) = line.split_once("started successfully on port ") {
                break port.trim().trim_end_matches('.').parse().unwrap();
            }
        };
        // Whoever writes into a full pipe waits until somebody reads.
        thread::spawn(move || io::copy(&mut output, &mut io::sink()));
        Self { child, url: format!("http://127.0.0.1:{port}"), home }
    }

    pub(crate) fn url(&self) -> &str {
        &self.url
    }

    /// What Chromium is to be: with a new profile, and without a window.
    pub(crate) fn capabilities(
        &self,
        javascript: Javascript,
        arguments: &[&str],
    ) -> Map<String, Value> {
        let profile = format!("--user-data-dir={}", self.home.path().join("profile").display());
        let arguments = [ARGUMENTS, arguments, &[&profile]].concat();
        let mut preferences = json!({
            "credentials_enable_service": false,
            // The page that is there at first is a heavy one otherwise.
            "session.restore_on_startup": 4,
            "session.startup_urls": ["about:blank"],
        });
        if javascript == Javascript::Off {
            preferences["profile.managed_default_content_settings.javascript"] = json!(2);
        }
        let capabilities = json!({
            // Nothing waits for a page by itself: the tests look at pages that are on their way.
            "pageLoadStrategy": "none",
            "goog:loggingPrefs": { "performance": "ALL" },
            "goog:chromeOptions": {
                "args": arguments,
                "prefs": preferences,
            },
        });
        capabilities.as_object().unwrap().clone()
    }

    /// What is of chromedriver and not of the standard, and unknown to fantoccini: asks it.
    pub(crate) fn get(&self, path: &str) -> Value {
        let mut answer = ureq::get(format!("{}{path}", self.url)).call().unwrap();
        answer.body_mut().read_json::<Value>().unwrap()["value"].take()
    }

    /// The same: tells it.
    pub(crate) fn post(&self, path: &str, body: &Value) -> Value {
        let mut answer = ureq::post(format!("{}{path}", self.url)).send_json(body).unwrap();
        answer.body_mut().read_json::<Value>().unwrap()["value"].take()
    }
}

impl Drop for Driver {
    fn drop(&mut self) {
        let _ = self.child.kill();
        let _ = self.child.wait();
    }
}

const ARGUMENTS: &[&str] = &[
    "--headless=new",
    "--remote-debugging-pipe",
    // It runs as root in a container, and shows nothing but our own pages.
    "--no-sandbox",
    "--disable-dev-shm-usage",
    "--window-size=900,1000",
    "--lang=en-US",
];

pub(crate) const INSTALL: &str =
    "apt-get install -y --no-install-recommends chromium chromium-driver fonts-dejavu-core";
