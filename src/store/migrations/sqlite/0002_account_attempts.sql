CREATE TABLE account_attempts (
    subject BLOB NOT NULL,
    client BLOB NOT NULL,
    failures INTEGER NOT NULL,
    in_a_row INTEGER NOT NULL,
    blocked_until INTEGER NOT NULL,
    last_at INTEGER NOT NULL,
    PRIMARY KEY (subject, client)
) STRICT, WITHOUT ROWID;

CREATE INDEX account_attempts_last ON account_attempts (last_at);

ALTER TABLE account_users ADD COLUMN password_change_required INTEGER NOT NULL DEFAULT 0;

INSERT INTO account_migrations (version, name, compatible_from, applied_at)
VALUES (2, 'account_attempts', 1, CAST(strftime('%s', 'now') AS INTEGER) * 1000000);
