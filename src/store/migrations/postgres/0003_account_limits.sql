CREATE TABLE account_limits (
    id uuid PRIMARY KEY,
    theoretical_arrival bigint NOT NULL
);

CREATE INDEX account_limits_arrival ON account_limits (theoretical_arrival);

INSERT INTO account_migrations (version, name, compatible_from, applied_at)
VALUES (3, 'account_limits', 1, (extract(epoch FROM now()) * 1000000)::bigint);
