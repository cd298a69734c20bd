//! The program, started and ended as a host does it. All that it writes is kept, and searched in the
//! end for what must not be in it.

use std::io::{BufRead, BufReader, Read};
use std::process::{Child, Command, ExitStatus, Stdio};
use std::sync::mpsc::{Receiver, Sender, channel};
use std::sync::{Arc, Mutex, PoisonError};
use std::thread::{self, JoinHandle};
use std::time::Duration;

use diesel_accounts::Engine;
use diesel_accounts_proof::database::{Database, ProofConnection};
use diesel_accounts_proof::wait::wait_until;
use serde_json::Value;

use crate::client::Client;
use crate::people::{MARK, SECRET_KEY};
use crate::settings::SETTINGS;

/// The settings of a service, which can be started with them any number of times.
#[derive(Clone)]
pub(crate) struct Setup(Vec<(&'static str, String)>);

impl Setup {
    /// On a database, without limits: most tests do everything as one client.
    pub(crate) fn on<C: ProofConnection>(database: &Database<C>) -> Self {
        let url = match C::ENGINE {
            Engine::Sqlite => format!("sqlite://{}", database.url()),
            _ => database.url().to_owned(),
        };
        let address = "127.0.0.1:0".to_owned();
        Self(vec![("LISTEN", address.clone()), ("METRICS_LISTEN", address)])
            .set("DATABASE_URL", &url)
            .set("SECRET_KEY", SECRET_KEY)
            .set("RATE_LIMIT", "off")
    }

    pub(crate) fn set(mut self, name: &'static str, value: &str) -> Self {
        self.0.retain(|(known, _)| *known != name);
        self.0.push((name, value.to_owned()));
        self
    }

    /// Starts the service, and waits until it listens.
    pub(crate) fn start(&self) -> Service {
        self.launch().listening()
    }

    /// Starts so many instances at once.
    pub(crate) fn start_all(&self, number: usize) -> Vec<Service> {
        let launched: Vec<_> = (0..number).map(|_| self.launch()).collect();
        launched.into_iter().map(Launched::listening).collect()
    }

    fn launch(&self) -> Launched {
        // The kernel ends it with us.
        let mut command = Command::new("setpriv");
        command.args(["--pdeathsig", "KILL", env!("CARGO_BIN_EXE_register_service")]);
        for name in SETTINGS {
            command.env_remove(name);
        }
        command.envs(self.0.iter().map(|(name, value)| (name, value)));
        let mut child = command.stdout(Stdio::piped()).stderr(Stdio::piped()).spawn().unwrap();
        let output = Arc::new(Mutex::new(String::new()));
        let (tell, lines) = channel();
        let (stdout, stderr) = (child.stdout.take().unwrap(), child.stderr.take().unwrap());
        let readers = vec![
            keep(stdout, Arc::clone(&output), Some(tell)),
            keep(stderr, Arc::clone(&output), None),
        ];
        let nowhere = Client::new("");
        let service = Service { child, output, readers, client: nowhere.clone(), metrics: nowhere };
        Launched { service, lines }
    }
}

/// A service that does not yet listen.
struct Launched {
    service: Service,
    lines: Receiver<Value>,
}

impl Launched {
    fn listening(self) -> Service {
        let Self { mut service, lines } = self;
        let listening = loop {
            match lines.recv_timeout(PATIENCE) {
                Ok(line) if line["message"] == "listening" => break line,
                Ok(_) => {}
                Err(_) => panic!("the service does not listen: {}", service.output()),
            }
        };
        service.client = Client::new(listening["address"].as_str().unwrap());
        service.metrics = Client::new(listening["metrics"].as_str().unwrap());
        service
    }
}

/// A service that runs. It is killed when this is dropped.
pub(crate) struct Service {
    child: Child,
    output: Arc<Mutex<String>>,
    readers: Vec<JoinHandle<()>>,
    client: Client,
    metrics: Client,
}

impl Service {
    pub(crate) fn client(&self) -> &Client {
        &self.client
    }

    pub(crate) fn id(&self) -> u32 {
        self.child.id()
    }

    /// What it has written so far.
    pub(crate) fn output(&self) -> String {
        self.output.lock().unwrap_or_else(PoisonError::into_inner).clone()
    }

    /// The lines of its log so far.
    pub(crate) fn log(&self) -> Vec<Value> {
        self.output().lines().map(|line| serde_json::from_str(line).expect(line)).collect()
    }

    /// The text of its metrics.
    pub(crate) fn metrics(&self) -> String {
        let answer = self.metrics.ask_metrics("/metrics");
        assert_eq!(answer.status, 200);
        answer.text
    }

    /// Where its metrics are.
    pub(crate) fn metrics_client(&self) -> &Client {
        &self.metrics
    }

    pub(crate) fn signal(&self, signal: &str) {
        let arguments = [format!("-{signal}"), self.id().to_string()];
        assert!(Command::new("kill").args(arguments).status().unwrap().success());
    }

    /// Kills it without asking (`kill -9`).
    pub(crate) fn kill(&mut self) {
        let _ = self.child.kill();
        let _ = self.child.wait();
        for reader in self.readers.drain(..) {
            reader.join().unwrap();
        }
    }

    /// Ends it as a host does, and finds that it ended well.
    pub(crate) fn stop(mut self) {
        self.signal("TERM");
        assert_eq!(self.ended().code(), Some(0), "{}", self.output());
    }

    /// Waits until it has ended.
    pub(crate) fn ended(&mut self) -> ExitStatus {
        let mut status = None;
        wait_until("the service has ended", || {
            status = self.child.try_wait().unwrap();
            status.is_some()
        });
        // What it wrote is read to its end.
        self.kill();
        status.unwrap()
    }

    pub(crate) fn runs(&mut self) -> bool {
        self.child.try_wait().unwrap().is_none()
    }
}

impl Drop for Service {
    fn drop(&mut self) {
        let metrics = match thread::panicking() || !self.runs() {
            true => String::new(),
            false => self.metrics(),
        };
        self.kill();
        if !thread::panicking() {
            // Of all that any test does.
            for text in [self.output(), metrics] {
                assert_clean(&text, &self.client.cookies());
            }
        }
    }
}

/// Nothing of anybody is in a text.
pub(crate) fn assert_clean(text: &str, cookies: &[String]) {
    let lower = text.to_lowercase();
    for line in lower.lines() {
        assert!(!line.contains(MARK), "{line}");
        assert!(!line.contains("$argon2"), "{line}");
    }
    for cookie in cookies {
        assert!(!text.contains(cookie.as_str()), "a cookie is in {text}");
    }
}

fn keep(
    stream: impl Read + Send + 'static,
    output: Arc<Mutex<String>>,
    tell: Option<Sender<Value>>,
) -> JoinHandle<()> {
    thread::spawn(move || {
        for line in BufReader::new(stream).lines() {
            let line = line.unwrap();
            if let (Some(tell), Ok(value)) = (&tell, serde_json::from_str(&line)) {
                // Nobody listens when it has started.
                let _ = tell.send(value);
            }
            let mut output = output.lock().unwrap_or_else(PoisonError::into_inner);
            output.push_str(&line);
            output.push('\n');
        }
    })
}

const PATIENCE: Duration = Duration::from_secs(60);
