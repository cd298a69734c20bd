CREATE TABLE account_events (
    id BLOB NOT NULL PRIMARY KEY,
    realm BLOB NOT NULL,
    occurred_at INTEGER NOT NULL,
    action TEXT NOT NULL,
    outcome TEXT NOT NULL,
    user_id BLOB,
    actor BLOB,
    client TEXT,
    request_id TEXT
) STRICT;

CREATE INDEX account_events_user ON account_events (user_id, occurred_at, id);

CREATE INDEX account_events_time ON account_events (occurred_at);

INSERT INTO account_migrations (version, name, compatible_from, applied_at)
VALUES (4, 'account_events', 1, CAST(strftime('%s', 'now') AS INTEGER) * 1000000);
