CREATE TABLE IF NOT EXISTS account_events (
    id BINARY(16) NOT NULL,
    realm BINARY(16) NOT NULL,
    occurred_at BIGINT NOT NULL,
    action VARCHAR(40) CHARACTER SET ascii COLLATE ascii_bin NOT NULL,
    outcome VARCHAR(40) CHARACTER SET ascii COLLATE ascii_bin NOT NULL,
    user_id BINARY(16) NULL,
    actor BINARY(16) NULL,
    client VARCHAR(255) NULL,
    request_id VARCHAR(255) NULL,
    PRIMARY KEY (id),
    INDEX account_events_user (user_id, occurred_at, id) USING BTREE,
    INDEX account_events_time (occurred_at) USING BTREE
) ENGINE = InnoDB DEFAULT CHARACTER SET utf8mb4 COLLATE utf8mb4_bin COMMENT = 'diesel-accounts';

INSERT INTO account_migrations (version, name, compatible_from, applied_at)
SELECT 4, 'account_events', 1, CAST(UNIX_TIMESTAMP() AS SIGNED) * 1000000
FROM DUAL
WHERE NOT EXISTS (SELECT 1 FROM account_migrations WHERE version = 4);
