CREATE TABLE account_migrations (
    version INTEGER NOT NULL PRIMARY KEY,
    name TEXT NOT NULL,
    compatible_from INTEGER NOT NULL,
    applied_at INTEGER NOT NULL
) STRICT;

CREATE TABLE account_users (
    id BLOB NOT NULL PRIMARY KEY,
    realm BLOB NOT NULL DEFAULT x'00000000000000000000000000000000',
    username TEXT,
    username_key TEXT COLLATE BINARY,
    username_key_version INTEGER NOT NULL DEFAULT 1,
    email TEXT,
    email_key TEXT COLLATE BINARY,
    email_key_version INTEGER NOT NULL DEFAULT 1,
    email_verified_at INTEGER,
    password_hash TEXT,
    state INTEGER NOT NULL DEFAULT 0,
    session_generation INTEGER NOT NULL DEFAULT 0,
    created_at INTEGER NOT NULL,
    updated_at INTEGER NOT NULL,
    password_changed_at INTEGER,
    last_sign_in_at INTEGER
) STRICT;

CREATE UNIQUE INDEX account_users_username_key ON account_users (realm, username_key);

CREATE UNIQUE INDEX account_users_email_key ON account_users (realm, email_key);

CREATE INDEX account_users_created ON account_users (realm, created_at, id);

INSERT INTO account_migrations (version, name, compatible_from, applied_at)
VALUES (1, 'account_users', 1, CAST(strftime('%s', 'now') AS INTEGER) * 1000000);
