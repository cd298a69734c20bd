CREATE TABLE IF NOT EXISTS account_limits (
    id BINARY(16) NOT NULL,
    theoretical_arrival BIGINT NOT NULL,
    PRIMARY KEY (id),
    INDEX account_limits_arrival (theoretical_arrival) USING BTREE
) ENGINE = InnoDB DEFAULT CHARACTER SET utf8mb4 COLLATE utf8mb4_bin COMMENT = 'diesel-accounts';

INSERT INTO account_migrations (version, name, compatible_from, applied_at)
SELECT 3, 'account_limits', 1, CAST(UNIX_TIMESTAMP() AS SIGNED) * 1000000
FROM DUAL
WHERE NOT EXISTS (SELECT 1 FROM account_migrations WHERE version = 3);
