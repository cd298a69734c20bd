//! An HTTP client, and a browser without JavaScript. What holds of every answer is looked at in each.

use std::collections::BTreeMap;
use std::sync::{Arc, LazyLock, Mutex};
use std::time::Duration;

use serde_json::Value;
use ureq::Agent;
use ureq::http::{HeaderMap, Request};

use crate::people::{PASSWORD_MARK, Person};

pub(crate) const REGISTER: &str = "/api/v1/accounts/register";
pub(crate) const LOGIN: &str = "/api/v1/accounts/login";
pub(crate) const ME: &str = "/api/v1/accounts/me";
pub(crate) const PASSWORD: &str = "/api/v1/accounts/password";

pub(crate) const JSON: Option<&str> = Some("application/json");
pub(crate) const FORM: Option<&str> = Some("application/x-www-form-urlencoded");

/// A client without cookies. Clones share its connections.
#[derive(Clone)]
pub(crate) struct Client {
    agent: Agent,
    address: String,
    headers: Vec<(String, String)>,
    /// The values of all cookies that were set, which are secrets.
    cookies: Arc<Mutex<Vec<String>>>,
}

impl Client {
    pub(crate) fn new(address: &str) -> Self {
        let config = Agent::config_builder()
            .http_status_as_error(false)
            .max_redirects(0)
            .max_redirects_will_error(false)
            .allow_non_standard_methods(true)
            .timeout_global(Some(Duration::from_secs(90)))
            .build();
        Self {
            agent: config.into(),
            address: address.to_owned(),
            headers: Vec::new(),
            cookies: Arc::default(),
        }
    }

    pub(crate) fn address(&self) -> &str {
        &self.address
    }

    /// The same client with one more header.
    pub(crate) fn with(&self, name: &str, value: &str) -> Self {
        let mut client = self.clone();
        client.headers.push((name.to_owned(), value.to_owned()));
        client
    }

    /// The values of all cookies that were set.
    pub(crate) fn cookies(&self) -> Vec<String> {
        self.cookies.lock().unwrap().clone()
    }

    pub(crate) fn get(&self, path: &str) -> Answer {
        self.send("GET", path, None, "").unwrap()
    }

    pub(crate) fn post(&self, path: &str, body: &Value) -> Answer {
        self.try_post(path, body).unwrap()
    }

    /// The same where there may be nobody to answer.
    pub(crate) fn try_post(&self, path: &str, body: &Value) -> Result<Answer, ureq::Error> {
        self.send("POST", path, JSON, &body.to_string())
    }

    pub(crate) fn register(&self, person: &Person) -> Answer {
        self.post(REGISTER, &person.registration())
    }

    /// The id of somebody who is new.
    pub(crate) fn registered(&self, person: &Person) -> String {
        let answer = self.register(person);
        assert_eq!(answer.status, 201, "{answer:?}");
        answer.user_id()
    }

    pub(crate) fn send(
        &self,
        method: &str,
        path: &str,
        content_type: Option<&str>,
        body: &str,
    ) -> Result<Answer, ureq::Error> {
        let answer = self.ask(method, path, content_type, body)?;
        answer.holds_what_always_holds(method, path);
        let values = answer.set_cookies().into_iter().map(|cookie| cookie.value);
        // A cookie that is removed has no value.
        self.cookies.lock().unwrap().extend(values.filter(|value| !value.is_empty()));
        Ok(answer)
    }

    /// Where the metrics are, nothing but the metrics is promised.
    pub(crate) fn ask_metrics(&self, path: &str) -> Answer {
        self.ask("GET", path, None, "").unwrap()
    }

    fn ask(
        &self,
        method: &str,
        path: &str,
        content_type: Option<&str>,
        body: &str,
    ) -> Result<Answer, ureq::Error> {
        let uri = format!("http://{}{path}", self.address);
        let mut request = Request::builder().method(method).uri(uri);
        for (name, value) in &self.headers {
            request = request.header(name, value);
        }
        if let Some(content_type) = content_type {
            request = request.header("content-type", content_type);
        }
        let mut answer = match method {
            "GET" | "HEAD" => self.agent.run(request.body(()).unwrap())?,
            _ => self.agent.run(request.body(body.to_owned()).unwrap())?,
        };
        let text = answer.body_mut().read_to_string()?;
        Ok(Answer { status: answer.status().as_u16(), headers: answer.headers().clone(), text })
    }
}

/// What a service answered.
#[derive(Debug)]
pub(crate) struct Answer {
    pub(crate) status: u16,
    pub(crate) text: String,
    headers: HeaderMap,
}

impl Answer {
    pub(crate) fn json(&self) -> Value {
        serde_json::from_str(&self.text).unwrap_or_else(|_| panic!("{self:?} is no JSON"))
    }

    pub(crate) fn user_id(&self) -> String {
        self.json()["user_id"].as_str().unwrap_or_else(|| panic!("{self:?}")).to_owned()
    }

    pub(crate) fn header(&self, name: &str) -> Option<&str> {
        self.headers.get(name).map(|value| value.to_str().unwrap())
    }

    /// In seconds.
    pub(crate) fn retry_after(&self) -> Option<u64> {
        self.header("retry-after").map(|seconds| seconds.parse().unwrap())
    }

    pub(crate) fn set_cookies(&self) -> Vec<SetCookie> {
        let lines = self.headers.get_all("set-cookie").iter();
        lines.map(|line| SetCookie::of(line.to_str().unwrap())).collect()
    }

    /// The cookie of a name that it sets.
    pub(crate) fn cookie(&self, name: &str) -> SetCookie {
        let cookie = self.set_cookies().into_iter().find(|cookie| cookie.name == name);
        cookie.unwrap_or_else(|| panic!("no cookie {name} in {self:?}"))
    }

    /// The value of a hidden field of the page.
    pub(crate) fn hidden(&self, field: &str) -> String {
        let begin = format!("name=\"{field}\" value=\"");
        let rest = self.text.split_once(&begin).unwrap_or_else(|| panic!("{self:?}")).1;
        rest.split('"').next().unwrap().to_owned()
    }

    fn holds_what_always_holds(&self, method: &str, path: &str) {
        assert_ne!(self.status, 500, "{method} {path}: {self:?}");
        for (name, value) in SECURITY {
            assert_eq!(self.header(name), Some(value), "{method} {path}: {self:?}");
        }
        assert!(self.header("content-security-policy").unwrap().contains("default-src 'none'"));
        assert!(!self.header("x-request-id").unwrap().is_empty(), "{method} {path}: {self:?}");
        assert!(!self.text.contains("$argon2"), "{method} {path}: a hash in {self:?}");
        let lower = self.text.to_lowercase();
        assert!(!lower.contains(PASSWORD_MARK), "{method} {path}: a password in {self:?}");
        let route = path.split('?').next().unwrap();
        let documented = &OPENAPI["paths"][route][method.to_lowercase()]["responses"];
        if !documented.is_null() {
            let told = &documented[self.status.to_string()];
            assert!(!told.is_null(), "{method} {path}: openapi.json has no {self:?}");
            let waits = !told["headers"]["Retry-After"].is_null() && self.status != 409;
            assert!(!waits || self.retry_after().unwrap() >= 1, "{method} {path}: {self:?}");
        }
    }
}

/// A cookie that is to be set.
#[derive(Clone, Debug)]
pub(crate) struct SetCookie {
    pub(crate) name: String,
    pub(crate) value: String,
    /// In small letters.
    pub(crate) attributes: Vec<String>,
}

impl SetCookie {
    pub(crate) fn has(&self, attribute: &str) -> bool {
        self.attributes.iter().any(|known| known == attribute)
    }

    fn of(line: &str) -> Self {
        let mut parts = line.split(';').map(str::trim);
        let (name, value) = parts.next().unwrap().split_once('=').unwrap();
        let attributes = parts.map(str::to_lowercase).collect();
        Self { name: name.to_owned(), value: value.to_owned(), attributes }
    }
}

/// A client with cookies.
#[derive(Clone)]
pub(crate) struct Browser {
    client: Client,
    pub(crate) jar: BTreeMap<String, String>,
}

impl Browser {
    pub(crate) fn new(client: &Client) -> Self {
        Self { client: client.clone(), jar: BTreeMap::new() }
    }

    /// Somebody's, who has signed in.
    pub(crate) fn of(client: &Client, person: &Person) -> Self {
        let mut browser = Self::new(client);
        let answer = browser.post(LOGIN, &person.credentials());
        assert_eq!(answer.status, 200, "{answer:?}");
        browser
    }

    /// The same browser at a service that was started anew.
    pub(crate) fn moved_to(&self, client: &Client) -> Self {
        Self { client: client.clone(), jar: self.jar.clone() }
    }

    pub(crate) fn with(&self, name: &str, value: &str) -> Self {
        Self { client: self.client.with(name, value), jar: self.jar.clone() }
    }

    pub(crate) fn get(&mut self, path: &str) -> Answer {
        self.send("GET", path, None, "")
    }

    pub(crate) fn post(&mut self, path: &str, body: &Value) -> Answer {
        self.send("POST", path, JSON, &body.to_string())
    }

    pub(crate) fn submit(&mut self, path: &str, fields: &[(&str, &str)]) -> Answer {
        let fields: Vec<_> =
            fields.iter().map(|(name, value)| format!("{name}={}", escaped(value))).collect();
        self.send("POST", path, FORM, &fields.join("&"))
    }

    pub(crate) fn send(
        &mut self,
        method: &str,
        path: &str,
        content_type: Option<&str>,
        body: &str,
    ) -> Answer {
        let pairs: Vec<_> =
            self.jar.iter().map(|(name, value)| format!("{name}={value}")).collect();
        let client = match pairs.is_empty() {
            true => self.client.clone(),
            false => self.client.with("cookie", &pairs.join("; ")),
        };
        let answer = client.send(method, path, content_type, body).unwrap();
        for cookie in answer.set_cookies() {
            match cookie.has("max-age=0") {
                true => self.jar.remove(&cookie.name),
                false => self.jar.insert(cookie.name, cookie.value),
            };
        }
        answer
    }
}

fn escaped(text: &str) -> String {
    let escape = |byte: u8| match byte.is_ascii_alphanumeric() {
        true => char::from(byte).to_string(),
        false => format!("%{byte:02X}"),
    };
    text.bytes().map(escape).collect()
}

/// What each answer tells browsers.
const SECURITY: [(&str, &str); 4] = [
    ("x-content-type-options", "nosniff"),
    ("x-frame-options", "DENY"),
    ("referrer-policy", "no-referrer"),
    ("cross-origin-opener-policy", "same-origin"),
];

static OPENAPI: LazyLock<Value> = LazyLock::new(|| {
    let text = include_str!("../../openapi.json");
    serde_json::from_str(text).unwrap()
});
