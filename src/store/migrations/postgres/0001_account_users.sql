CREATE TABLE account_migrations (
    version integer NOT NULL PRIMARY KEY,
    name text NOT NULL,
    compatible_from integer NOT NULL,
    applied_at bigint NOT NULL
);

CREATE TABLE account_users (
    id uuid NOT NULL PRIMARY KEY,
    realm uuid NOT NULL DEFAULT '00000000-0000-0000-0000-000000000000',
    username text,
    username_key text COLLATE "C",
    username_key_version smallint NOT NULL DEFAULT 1,
    email text,
    email_key text COLLATE "C",
    email_key_version smallint NOT NULL DEFAULT 1,
    email_verified_at bigint,
    password_hash text,
    state smallint NOT NULL DEFAULT 0,
    session_generation bigint NOT NULL DEFAULT 0,
    created_at bigint NOT NULL,
    updated_at bigint NOT NULL,
    password_changed_at bigint,
    last_sign_in_at bigint
);

CREATE UNIQUE INDEX account_users_username_key ON account_users (realm, username_key);

CREATE UNIQUE INDEX account_users_email_key ON account_users (realm, email_key);

CREATE INDEX account_users_created ON account_users (realm, created_at, id);

INSERT INTO account_migrations (version, name, compatible_from, applied_at)
VALUES (1, 'account_users', 1, (extract(epoch FROM now()) * 1000000)::bigint);
