CREATE TABLE IF NOT EXISTS account_attempts (
    subject BINARY(16) NOT NULL,
    client BINARY(16) NOT NULL,
    failures BIGINT NOT NULL,
    in_a_row BIGINT NOT NULL,
    blocked_until BIGINT NOT NULL,
    last_at BIGINT NOT NULL,
    PRIMARY KEY (subject, client),
    INDEX account_attempts_last (last_at) USING BTREE
) ENGINE = InnoDB DEFAULT CHARACTER SET utf8mb4 COLLATE utf8mb4_bin COMMENT = 'diesel-accounts';

-- MySQL knows no ADD COLUMN IF NOT EXISTS, and a migration that was cut short is run again.
SET @diesel_accounts_step = IF(
    (SELECT COUNT(*) FROM information_schema.columns
     WHERE table_schema = DATABASE() AND table_name = 'account_users'
       AND column_name = 'password_change_required') = 0,
    'ALTER TABLE account_users ADD COLUMN password_change_required SMALLINT NOT NULL DEFAULT 0',
    'DO 0');

PREPARE diesel_accounts_step FROM @diesel_accounts_step;

EXECUTE diesel_accounts_step;

DEALLOCATE PREPARE diesel_accounts_step;

INSERT INTO account_migrations (version, name, compatible_from, applied_at)
SELECT 2, 'account_attempts', 1, CAST(UNIX_TIMESTAMP() AS SIGNED) * 1000000
FROM DUAL
WHERE NOT EXISTS (SELECT 1 FROM account_migrations WHERE version = 2);
