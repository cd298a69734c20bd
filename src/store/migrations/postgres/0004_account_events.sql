CREATE TABLE account_events (
    id uuid PRIMARY KEY,
    realm uuid NOT NULL,
    occurred_at bigint NOT NULL,
    action varchar(40) NOT NULL,
    outcome varchar(40) NOT NULL,
    user_id uuid,
    actor uuid,
    client varchar(255),
    request_id varchar(255)
);

CREATE INDEX account_events_user ON account_events (user_id, occurred_at, id);

CREATE INDEX account_events_time ON account_events (occurred_at);

INSERT INTO account_migrations (version, name, compatible_from, applied_at)
VALUES (4, 'account_events', 1, (extract(epoch FROM now()) * 1000000)::bigint);
