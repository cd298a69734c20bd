//! A browser, as somebody uses it who sees and clicks.

use std::cell::Cell;
use std::fs;
use std::future::Future;
use std::path::Path;
use std::thread;
use std::time::{Duration, Instant};

use fantoccini::actions::{
    InputSource, KeyAction, KeyActions, MOUSE_BUTTON_LEFT, MouseActions, PointerAction,
};
use fantoccini::elements::Element;
use fantoccini::error::CmdError;
use fantoccini::key::Key;
use fantoccini::wd::WindowHandle;
use fantoccini::{Client, ClientBuilder, Locator};
use hyper_util::client::legacy::connect::HttpConnector;
use serde_json::{Value, json};
use tokio::runtime::{Builder, Runtime};
use tokio::time::timeout;

use crate::driver::{Driver, INSTALL};
use crate::people::Person;

/// Whether the scripts of pages run. Those of the tests themselves run in any case: they come by way
/// of the developer tools.
#[derive(Clone, Copy, Eq, PartialEq)]
pub(crate) enum Javascript {
    On,
    Off,
}

impl Javascript {
    pub(crate) fn name(self) -> &'static str {
        match self {
            Self::On => "on",
            Self::Off => "off",
        }
    }
}

pub(crate) struct Browser {
    runtime: Runtime,
    client: Client,
    driver: Driver,
    session: String,
    javascript: Javascript,
    /// What all paths begin with.
    site: String,
    pictures: Cell<usize>,
    posts: Cell<usize>,
}

/// Getting about.
impl Browser {
    pub(crate) fn start(javascript: Javascript, site: &str) -> Self {
        Self::start_with(javascript, site, &[])
    }

    /// With more arguments for Chromium.
    pub(crate) fn start_with(javascript: Javascript, site: &str, arguments: &[&str]) -> Self {
        let runtime = Builder::new_current_thread().enable_all().build().unwrap();
        let driver = Driver::start();
        let mut client = ClientBuilder::new(HttpConnector::new());
        client.capabilities(driver.capabilities(javascript, arguments));
        let client = runtime
            .block_on(client.connect(driver.url()))
            .unwrap_or_else(|error| panic!("Chromium does not start: {error}; {INSTALL}"));
        let session = runtime.block_on(client.session_id()).unwrap().unwrap();
        Self {
            runtime,
            client,
            driver,
            session: format!("/session/{session}"),
            javascript,
            site: site.to_owned(),
            pictures: Cell::new(0),
            posts: Cell::new(0),
        }
    }

    pub(crate) fn javascript(&self) -> Javascript {
        self.javascript
    }

    pub(crate) fn has_javascript(&self) -> bool {
        self.javascript == Javascript::On
    }

    /// The service has moved.
    pub(crate) fn set_site(&mut self, site: &str) {
        site.clone_into(&mut self.site);
    }

    pub(crate) fn open(&self, path: &str) {
        self.open_url(&format!("{}{path}", self.site));
    }

    /// Shows a page of the test's own.
    pub(crate) fn show(&self, html: &str) {
        self.open_url(&format!("data:text/html,{html}"));
    }

    fn open_url(&self, url: &str) {
        self.arrive(|| self.wait(self.client.goto(url)));
    }

    /// Does what leads to another page, and waits until it is there.
    pub(crate) fn arrive(&self, act: impl FnOnce()) {
        let before = self.document();
        act();
        self.until("another page is there", || {
            self.document().is_some_and(|it| Some(it) != before)
        });
    }

    /// When the page was begun, which tells it from every other, if it is there as a whole.
    fn document(&self) -> Option<f64> {
        let begun = "return document.readyState === 'complete' ? performance.timeOrigin : null";
        // While one page takes the place of another, there is nothing to ask.
        self.try_script(begun, Vec::new()).ok()?.as_f64()
    }

    pub(crate) fn is_loaded(&self) -> bool {
        self.document().is_some()
    }

    pub(crate) fn back(&self) {
        self.arrive(|| self.wait(self.client.back()));
    }

    /// Presses the button of the form, and waits for what comes of it.
    pub(crate) fn submit(&self) {
        self.arrive(|| self.click(BUTTON));
    }

    pub(crate) fn path(&self) -> String {
        self.wait(self.client.current_url()).path().to_owned()
    }

    /// Opens another tab and goes there.
    pub(crate) fn new_tab(&self) -> WindowHandle {
        let tab = self.wait(self.client.new_window(true)).handle;
        self.switch_to(&tab);
        tab
    }

    pub(crate) fn tab(&self) -> WindowHandle {
        self.wait(self.client.window())
    }

    pub(crate) fn switch_to(&self, tab: &WindowHandle) {
        self.wait(self.client.switch_to_window(tab.clone()));
    }
}

/// Hands.
impl Browser {
    pub(crate) fn fill_in(&self, person: &Person) {
        self.fill("username", person.username);
        self.fill("email", person.email);
        self.fill("password", person.password);
    }

    /// Types a text in place of what is there.
    pub(crate) fn fill(&self, field: &str, text: &str) {
        let input = self.element(&format!("#{field}"));
        self.wait(input.clear());
        self.wait(input.send_keys(text));
    }

    pub(crate) fn click(&self, css: &str) {
        self.wait(self.element(css).click());
    }

    /// Clicks twice on the button of the form, at one place.
    pub(crate) fn click_twice(&self, pause: Duration) {
        let element = self.element(BUTTON);
        let mouse = MouseActions::new("mouse".to_owned())
            .then(PointerAction::MoveToElement { element, duration: None, x: 0.0, y: 0.0 })
            .then(PointerAction::Down { button: MOUSE_BUTTON_LEFT })
            .then(PointerAction::Up { button: MOUSE_BUTTON_LEFT })
            .pause(pause)
            .then(PointerAction::Down { button: MOUSE_BUTTON_LEFT })
            .then(PointerAction::Up { button: MOUSE_BUTTON_LEFT });
        self.wait(self.client.perform_actions(mouse));
    }

    pub(crate) fn press(&self, key: Key) {
        self.type_keys(&char::from(key).to_string());
    }

    /// Types into whatever has the focus.
    pub(crate) fn type_keys(&self, text: &str) {
        let keyboard = KeyActions::new("keyboard".to_owned());
        let keyboard = text.chars().fold(keyboard, |keyboard, value| {
            keyboard.then(KeyAction::Down { value }).then(KeyAction::Up { value })
        });
        self.wait(self.client.perform_actions(keyboard));
    }
}

/// Eyes.
impl Browser {
    pub(crate) fn heading(&self) -> String {
        self.text("h1")
    }

    /// What can be seen of an element's text.
    pub(crate) fn text(&self, css: &str) -> String {
        self.wait(self.element(css).text())
    }

    pub(crate) fn is_displayed(&self, css: &str) -> bool {
        self.wait(self.element(css).is_displayed())
    }

    pub(crate) fn attribute(&self, css: &str, name: &str) -> Option<String> {
        self.wait(self.element(css).attr(name))
    }

    /// What is in a field.
    pub(crate) fn value(&self, field: &str) -> String {
        self.wait(self.element(&format!("#{field}")).prop("value")).unwrap()
    }

    /// What has the focus: its id, or else its text.
    pub(crate) fn focused(&self) -> String {
        let focused = "const it = document.activeElement; return it.id || it.textContent.trim()";
        self.script(focused, Vec::new()).as_str().unwrap().to_owned()
    }

    /// What an element is called by whoever reads the page aloud.
    pub(crate) fn accessible_name(&self, css: &str) -> String {
        let id = self.element(css).element_id();
        let name = self.driver.get(&format!("{}/element/{id}/computedlabel", self.session));
        name.as_str().unwrap().to_owned()
    }

    /// Asks the page something.
    pub(crate) fn script(&self, script: &str, arguments: Vec<Value>) -> Value {
        self.try_script(script, arguments).unwrap()
    }

    /// Keeps what is to be seen, under the name of the test and of the step.
    pub(crate) fn keep_picture(&self, step: &str) {
        let thread = thread::current();
        let test = thread.name().unwrap().replace("::", ".");
        let folder = Path::new(env!("CARGO_TARGET_TMPDIR")).with_file_name("screenshots");
        if self.pictures.replace(self.pictures.get() + 1) == 0 {
            fs::create_dir_all(&folder).unwrap();
            forget_pictures(&folder, &format!("{test}."));
        }
        let name = format!("{test}.{:02}-{step}.png", self.pictures.get());
        fs::write(folder.join(name), self.wait(self.client.screenshot())).unwrap();
    }

    pub(crate) fn until(&self, what: &str, mut is_so: impl FnMut() -> bool) {
        let patience = Instant::now() + PATIENCE;
        while !is_so() {
            assert!(Instant::now() < patience, "waited in vain until {what}");
            thread::sleep(BETWEEN_LOOKS);
        }
    }

    fn element(&self, css: &str) -> Element {
        self.runtime
            .block_on(self.client.find(Locator::Css(css)))
            .unwrap_or_else(|error| panic!("{css}: {error}"))
    }

    fn try_script(&self, script: &str, arguments: Vec<Value>) -> Result<Value, CmdError> {
        self.runtime.block_on(self.client.execute(script, arguments))
    }

    fn wait<T>(&self, command: impl Future<Output = Result<T, CmdError>>) -> T {
        self.runtime.block_on(command).unwrap()
    }
}

/// The developer tools.
impl Browser {
    pub(crate) fn devtools(&self, command: &str, parameters: &Value) -> Value {
        let body = json!({ "cmd": command, "params": parameters });
        self.driver.post(&format!("{}/goog/cdp/execute", self.session), &body)
    }

    /// How many requests were sent that are to change something, in all tabs. A tab that waits for
    /// a page does not answer this: ask in another one.
    pub(crate) fn posts(&self) -> usize {
        let log = self
            .driver
            .post(&format!("{}/se/log", self.session), &json!({ "type": "performance" }));
        let new = log.as_array().unwrap().iter().filter(|entry| {
            let event: Value = serde_json::from_str(entry["message"].as_str().unwrap()).unwrap();
            event["message"]["method"] == "Network.requestWillBeSent"
                && event["message"]["params"]["request"]["method"] == "POST"
        });
        // What is told once is not told again.
        self.posts.set(self.posts.get() + new.count());
        self.posts.get()
    }

    /// Each answer takes so much longer.
    pub(crate) fn slow_down(&self, latency: Duration) {
        let latency = u64::try_from(latency.as_millis()).unwrap();
        let conditions = json!({
            "offline": false,
            "latency": latency,
            "download_throughput": 50_000,
            "upload_throughput": 50_000,
        });
        let body = json!({ "network_conditions": conditions });
        self.driver.post(&format!("{}/chromium/network_conditions", self.session), &body);
    }
}

impl Drop for Browser {
    fn drop(&mut self) {
        let close = self.client.clone().close();
        let _ = self.runtime.block_on(async { timeout(PATIENCE, close).await });
    }
}

/// Those of an earlier run, which may have had other steps.
fn forget_pictures(folder: &Path, test: &str) {
    for picture in fs::read_dir(folder).unwrap() {
        let picture = picture.unwrap();
        if picture.file_name().to_string_lossy().starts_with(test) {
            fs::remove_file(picture.path()).unwrap();
        }
    }
}

/// The button of the form.
pub(crate) const BUTTON: &str = "main form button";

const PATIENCE: Duration = Duration::from_secs(20);
const BETWEEN_LOOKS: Duration = Duration::from_millis(10);
