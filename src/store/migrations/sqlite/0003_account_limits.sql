CREATE TABLE account_limits (
    id BLOB NOT NULL PRIMARY KEY,
    theoretical_arrival INTEGER NOT NULL
) STRICT, WITHOUT ROWID;

CREATE INDEX account_limits_arrival ON account_limits (theoretical_arrival);

INSERT INTO account_migrations (version, name, compatible_from, applied_at)
VALUES (3, 'account_limits', 1, CAST(strftime('%s', 'now') AS INTEGER) * 1000000);
