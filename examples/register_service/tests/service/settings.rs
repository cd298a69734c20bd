//! The settings of the service, by the names that they have in the environment.

/// What the environment of the tests must not decide.
pub(crate) const SETTINGS: [&str; 11] = [
    "ADMIN_USERS",
    "CONNECTIONS",
    "DATABASE_URL",
    "GRACE",
    "HTTPS",
    "LOG_FORMAT",
    "NO_COLOR",
    "RATE_LIMIT",
    "RUST_LOG",
    "SECRET_KEY",
    "TRUSTED_PROXIES",
];
