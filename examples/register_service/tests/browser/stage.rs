//! What each test has: a service, a database and a browser of its own.

use std::panic::{AssertUnwindSafe, catch_unwind, resume_unwind};
use std::sync::{Mutex, PoisonError};

use crate::browser::{Browser, Javascript};
use crate::service::Service;

pub(crate) struct Stage {
    pub(crate) browser: Browser,
    pub(crate) service: Service,
}

/// Runs a test when no other one runs, for a Chromium keeps two cores busy; what the browser shows
/// when the test fails is kept.
pub(crate) fn run(javascript: Javascript, test: impl FnOnce(&mut Stage)) {
    let _alone = ALONE.lock().unwrap_or_else(PoisonError::into_inner);
    let service = Service::start();
    let browser = Browser::start(javascript, &service.url(""));
    browser.show(PROBE);
    assert_eq!(browser.text("p"), javascript.name(), "whether scripts run");
    let mut stage = Stage { browser, service };
    if let Err(failure) = catch_unwind(AssertUnwindSafe(|| test(&mut stage))) {
        stage.browser.keep_picture("failed");
        resume_unwind(failure);
    }
}

static ALONE: Mutex<()> = Mutex::new(());

/// A page that tells whether its script ran.
const PROBE: &str = "<p>off</p><script>document.querySelector('p').textContent = 'on'</script>";
