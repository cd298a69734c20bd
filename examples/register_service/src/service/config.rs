//! What the service is told: by flags, else by the environment, else by default.

use std::collections::HashSet;
use std::env;
use std::fmt;
use std::net::SocketAddr;
use std::str::FromStr;
use std::time::Duration;

use base64ct::{Base64UrlUnpadded, Encoding};
use diesel_accounts::{SecretKey, UserId};
use ipnet::IpNet;
use lexopt::{Arg, Parser, ValueExt};
use zeroize::Zeroizing;

/// What `--help` prints.
pub const USAGE: &str = "\
A registration service: an API, a page, and what belongs to it.

usage: register_service [OPTION ...]

Each option can also be given in the environment, under the name behind it.

  --listen ADDRESS           LISTEN            where it serves; 127.0.0.1:8000 by default
  --metrics-listen ADDRESS   METRICS_LISTEN    where /metrics is; 127.0.0.1:9000 by default
  --database-url URL         DATABASE_URL      sqlite://PATH, postgres://.., mysql://..;
                                               sqlite://accounts.db by default
  --connections NUMBER       CONNECTIONS       the most connections to it; 8 by default
  --rate-limit WHERE         RATE_LIMIT        `database`, for all instances together (default),
                                               `process`, or `off` for load tests
  --trusted-proxies NETS     TRUSTED_PROXIES   the networks, separated by commas, of proxies whose
                                               X-Forwarded-For is believed; none by default
  --admin-users IDS          ADMIN_USERS       the ids, separated by commas, of the accounts that
                                               see /admin/users; nobody by default
  --https on|off             HTTPS             whether browsers come over TLS, which a proxy in front
                                               ends: cookies are kept to it then, and browsers told
                                               to stay. On by default, unless LISTEN is a loopback
                                               address and there are no TRUSTED_PROXIES
  --grace SECONDS            GRACE             for so long after it is told to stop it takes
                                               connections, while /readyz says 503; 2 by default.
                                               What was begun has 45 seconds more
  --log-format FORMAT        LOG_FORMAT        `json` (default) or `pretty`
  --help

In the environment only, for whoever lists the processes sees the flags:

  SECRET_KEY     32 bytes or more in Base64 (of URLs, without padding), the same for all instances.
                 Without it one is made at each start: sessions, open forms and the recognition of
                 devices end with the process, and limits and repeated requests begin anew.
  RUST_LOG       what is logged, as in tracing-subscriber; `info` by default";

/// The settings of a service. `Debug` shows no secret.
pub struct Config {
    pub(crate) listen: SocketAddr,
    pub(crate) metrics_listen: SocketAddr,
    pub(crate) database_url: String,
    pub(crate) connections: u32,
    pub(crate) limits: Limits,
    pub(crate) trusted_proxies: Vec<IpNet>,
    pub(crate) admins: HashSet<UserId>,
    /// Whether browsers come over TLS.
    pub(crate) https: bool,
    /// From being told to stop to taking no connections any more.
    pub(crate) grace: Duration,
    pub(crate) log_format: LogFormat,
    pub(crate) secret: Zeroizing<Vec<u8>>,
    pub(crate) secret_is_new: bool,
}

/// Where it is counted how often somebody does something.
#[derive(Clone, Copy, Debug, Eq, PartialEq)]
pub(crate) enum Limits {
    Database,
    Process,
    Off,
}

/// How a line of the log looks.
#[derive(Clone, Copy, Debug, Eq, PartialEq)]
pub(crate) enum LogFormat {
    Json,
    Pretty,
}

/// A setting cannot be used. The value is not repeated, for it may be a secret.
#[derive(Clone, Debug, Eq, PartialEq, thiserror::Error)]
pub enum InvalidConfig {
    /// The arguments are not as they should be.
    #[error("{0}")]
    Arguments(String),
    /// A setting has a value that it cannot have.
    #[error("{name} must be {expected}")]
    #[non_exhaustive]
    Value {
        /// The setting, as the environment calls it.
        name: &'static str,
        /// What it must be.
        expected: &'static str,
    },
    /// The operating system gave no random numbers for a key.
    #[error("the operating system gave no random numbers")]
    NoRandomNumbers,
}

impl Config {
    /// Reads the arguments of this process, and its environment; `None` if help is asked for.
    ///
    /// # Errors
    ///
    /// [`InvalidConfig`] for the first setting that cannot be used.
    pub fn from_arguments_and_environment() -> Result<Option<Self>, InvalidConfig> {
        Self::of(Parser::from_env(), |name| env::var(name).ok())
    }

    fn of(
        mut parser: Parser,
        environment: impl Fn(&str) -> Option<String>,
    ) -> Result<Option<Self>, InvalidConfig> {
        let wrong = |error: lexopt::Error| InvalidConfig::Arguments(error.to_string());
        let mut flags: Vec<(&'static str, String)> = Vec::new();
        while let Some(argument) = parser.next().map_err(wrong)? {
            let flag = match &argument {
                Arg::Long("help") => return Ok(None),
                Arg::Long(flag) => FLAGS.iter().find(|(known, _)| known == flag),
                _ => None,
            };
            let Some((_, name)) = flag else {
                return Err(wrong(argument.unexpected()));
            };
            let value = parser.value().and_then(|value| value.string()).map_err(wrong)?;
            flags.push((name, value));
        }
        let given = |name: &'static str| {
            let flag = flags.iter().rev().find(|(flag, _)| *flag == name);
            let value = flag.map(|(_, value)| value.clone()).or_else(|| environment(name));
            value.filter(|value| !value.is_empty())
        };
        let address = "an address and a port, as 127.0.0.1:8000";
        let listen: SocketAddr = parsed(&given, "LISTEN", "127.0.0.1:8000", address)?;
        let metrics_listen = parsed(&given, "METRICS_LISTEN", "127.0.0.1:9000", address)?;
        let connections: u32 = parsed(&given, "CONNECTIONS", "8", "a number from 1 to 1000")?;
        if !(1..=1000).contains(&connections) {
            return Err(invalid("CONNECTIONS", "a number from 1 to 1000"));
        }
        let limits = match given("RATE_LIMIT").as_deref() {
            None | Some("database") => Limits::Database,
            Some("process") => Limits::Process,
            Some("off") => Limits::Off,
            Some(_) => return Err(invalid("RATE_LIMIT", "database, process or off")),
        };
        let log_format = match given("LOG_FORMAT").as_deref() {
            None | Some("json") => LogFormat::Json,
            Some("pretty") => LogFormat::Pretty,
            Some(_) => return Err(invalid("LOG_FORMAT", "json or pretty")),
        };
        let trusted_proxies = list(&given, "TRUSTED_PROXIES", "networks, as 10.0.0.0/8,fd00::/8")?;
        let is_local = listen.ip().is_loopback() && trusted_proxies.is_empty();
        let https = match given("HTTPS").as_deref() {
            None => !is_local,
            Some("on") => true,
            Some("off") => false,
            Some(_) => return Err(invalid("HTTPS", "on or off")),
        };
        let grace: u64 = parsed(&given, "GRACE", "2", "a number of seconds from 0 to 3600")?;
        if grace > 3600 {
            return Err(invalid("GRACE", "a number of seconds from 0 to 3600"));
        }
        let admins = list(&given, "ADMIN_USERS", "the ids of accounts")?;
        let (secret, secret_is_new) = match given("SECRET_KEY").map(Zeroizing::new) {
            Some(text) => (secret_of(&text)?, false),
            None => (new_secret()?, true),
        };
        Ok(Some(Self {
            listen,
            metrics_listen,
            database_url: given("DATABASE_URL")
                .unwrap_or_else(|| "sqlite://accounts.db".to_owned()),
            connections,
            limits,
            trusted_proxies,
            admins: admins.into_iter().collect(),
            https,
            grace: Duration::from_secs(grace),
            log_format,
            secret,
            secret_is_new,
        }))
    }
}

impl fmt::Debug for Config {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Config").field("listen", &self.listen).finish_non_exhaustive()
    }
}

/// The flags, and what the environment calls them.
const FLAGS: [(&str, &str); 10] = [
    ("listen", "LISTEN"),
    ("metrics-listen", "METRICS_LISTEN"),
    ("database-url", "DATABASE_URL"),
    ("connections", "CONNECTIONS"),
    ("rate-limit", "RATE_LIMIT"),
    ("trusted-proxies", "TRUSTED_PROXIES"),
    ("admin-users", "ADMIN_USERS"),
    ("https", "HTTPS"),
    ("grace", "GRACE"),
    ("log-format", "LOG_FORMAT"),
];

fn parsed<T: FromStr>(
    given: &impl Fn(&'static str) -> Option<String>,
    name: &'static str,
    default: &str,
    expected: &'static str,
) -> Result<T, InvalidConfig> {
    let value = given(name);
    value.as_deref().unwrap_or(default).parse().map_err(|_| invalid(name, expected))
}

fn list<T: FromStr>(
    given: &impl Fn(&'static str) -> Option<String>,
    name: &'static str,
    expected: &'static str,
) -> Result<Vec<T>, InvalidConfig> {
    let value = given(name).unwrap_or_default();
    let items = value.split(',').map(str::trim).filter(|item| !item.is_empty());
    items.map(|item| item.parse().map_err(|_| invalid(name, expected))).collect()
}

fn secret_of(text: &str) -> Result<Zeroizing<Vec<u8>>, InvalidConfig> {
    let expected = "32 bytes or more in Base64 (of URLs, without padding)";
    let bytes = Base64UrlUnpadded::decode_vec(text.trim()).map(Zeroizing::new);
    let bytes = bytes.map_err(|_| invalid("SECRET_KEY", expected))?;
    match SecretKey::new(bytes.to_vec()) {
        Ok(_) => Ok(bytes),
        Err(_) => Err(invalid("SECRET_KEY", expected)),
    }
}

fn new_secret() -> Result<Zeroizing<Vec<u8>>, InvalidConfig> {
    let mut bytes = Zeroizing::new(vec![0; 32]);
    getrandom::fill(&mut bytes).map_err(|_| InvalidConfig::NoRandomNumbers)?;
    Ok(bytes)
}

fn invalid(name: &'static str, expected: &'static str) -> InvalidConfig {
    InvalidConfig::Value { name, expected }
}

#[cfg(test)]
mod tests {
    use std::collections::HashMap;

    use lexopt::Parser;

    use super::{Config, FLAGS, InvalidConfig, Limits, LogFormat, USAGE};

    fn read(
        arguments: &[&str],
        environment: &[(&str, &str)],
    ) -> Result<Option<Config>, InvalidConfig> {
        let environment: HashMap<_, _> = environment.iter().copied().collect();
        let variable = |name: &str| environment.get(name).map(|&value| value.to_owned());
        Config::of(Parser::from_args(arguments.iter().copied()), variable)
    }

    #[test]
    fn everything_has_a_default_and_a_new_key() {
        let config = read(&[], &[]).unwrap().unwrap();
        assert_eq!(config.listen.to_string(), "127.0.0.1:8000");
        assert_eq!(config.metrics_listen.to_string(), "127.0.0.1:9000");
        assert_eq!(config.database_url, "sqlite://accounts.db");
        assert_eq!((config.connections, config.limits), (8, Limits::Database));
        assert_eq!((config.log_format, config.grace.as_secs()), (LogFormat::Json, 2));
        assert!(config.admins.is_empty() && config.secret_is_new && !config.https);
        assert_ne!(config.secret, read(&[], &[]).unwrap().unwrap().secret);
    }

    #[test]
    fn a_flag_comes_before_the_environment() {
        let environment = [("LISTEN", "0.0.0.0:80"), ("RATE_LIMIT", "off"), ("CONNECTIONS", "")];
        let config = read(&["--listen", "[::1]:81"], &environment).unwrap().unwrap();
        assert_eq!(config.listen.to_string(), "[::1]:81");
        assert_eq!((config.limits, config.connections), (Limits::Off, 8));
        let patient = read(&["--grace", "20"], &[("GRACE", "1")]).unwrap().unwrap();
        assert_eq!(patient.grace.as_secs(), 20);
        let outside = read(&[], &environment).unwrap().unwrap();
        assert!(outside.https);
        let plain = read(&["--https", "off"], &environment).unwrap().unwrap();
        assert!(!plain.https);
        let proxied = read(&[], &[("TRUSTED_PROXIES", "10.0.0.0/8")]).unwrap().unwrap();
        assert!(proxied.https);
    }

    #[test]
    fn what_cannot_be_used_is_named_and_not_repeated() {
        for (name, value) in [
            ("LISTEN", "here"),
            ("METRICS_LISTEN", "9000"),
            ("CONNECTIONS", "many"),
            ("RATE_LIMIT", "on"),
            ("HTTPS", "yes"),
            ("GRACE", "2.5"),
            ("GRACE", "3601"),
            ("LOG_FORMAT", "xml"),
            ("TRUSTED_PROXIES", "10.0.0.0/8,proxy"),
            ("ADMIN_USERS", "root"),
            ("SECRET_KEY", "c2hvcnQ"),
        ] {
            let told = read(&[], &[(name, value)]).unwrap_err().to_string();
            assert!(told.starts_with(name) && !told.contains(value), "{told}");
        }
        assert!(read(&["--connections", "0"], &[]).is_err());
        assert!(read(&["--connections", "1001"], &[]).is_err());
        assert!(read(&["--port", "1"], &[]).is_err());
        assert!(read(&["--listen"], &[]).is_err());
        assert!(read(&["8000"], &[]).is_err());
    }

    #[test]
    fn help_names_every_flag_and_every_variable() {
        assert!(read(&["--help"], &[]).unwrap().is_none());
        for (flag, name) in FLAGS {
            assert!(USAGE.contains(&format!("--{flag} ")) && USAGE.contains(name), "{flag}");
        }
    }
}
