CREATE TABLE account_attempts (
    subject uuid NOT NULL,
    client uuid NOT NULL,
    failures bigint NOT NULL,
    in_a_row bigint NOT NULL,
    blocked_until bigint NOT NULL,
    last_at bigint NOT NULL,
    PRIMARY KEY (subject, client)
);

CREATE INDEX account_attempts_last ON account_attempts (last_at);

ALTER TABLE account_users ADD COLUMN password_change_required smallint NOT NULL DEFAULT 0;

INSERT INTO account_migrations (version, name, compatible_from, applied_at)
VALUES (2, 'account_attempts', 1, (extract(epoch FROM now()) * 1000000)::bigint);
