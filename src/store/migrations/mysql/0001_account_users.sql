CREATE TABLE IF NOT EXISTS account_migrations (
    version INT NOT NULL PRIMARY KEY,
    name VARCHAR(255) NOT NULL,
    compatible_from INT NOT NULL,
    applied_at BIGINT NOT NULL
) ENGINE = InnoDB ROW_FORMAT = DYNAMIC DEFAULT CHARACTER SET utf8mb4 COLLATE utf8mb4_bin COMMENT = 'diesel-accounts';

CREATE TABLE IF NOT EXISTS account_users (
    id BINARY(16) NOT NULL PRIMARY KEY,
    realm BINARY(16) NOT NULL DEFAULT X'00000000000000000000000000000000',
    username VARCHAR(512),
    username_key VARBINARY(400),
    username_key_version SMALLINT NOT NULL DEFAULT 1,
    email VARCHAR(254),
    email_key VARBINARY(1016),
    email_key_version SMALLINT NOT NULL DEFAULT 1,
    email_verified_at BIGINT,
    password_hash VARCHAR(1024) CHARACTER SET ascii COLLATE ascii_bin,
    state SMALLINT NOT NULL DEFAULT 0,
    session_generation BIGINT NOT NULL DEFAULT 0,
    created_at BIGINT NOT NULL,
    updated_at BIGINT NOT NULL,
    password_changed_at BIGINT,
    last_sign_in_at BIGINT,
    UNIQUE INDEX account_users_username_key (realm, username_key) USING BTREE,
    UNIQUE INDEX account_users_email_key (realm, email_key) USING BTREE,
    INDEX account_users_created (realm, created_at, id) USING BTREE
) ENGINE = InnoDB ROW_FORMAT = DYNAMIC DEFAULT CHARACTER SET utf8mb4 COLLATE utf8mb4_bin COMMENT = 'diesel-accounts';

INSERT INTO account_migrations (version, name, compatible_from, applied_at)
SELECT 1, 'account_users', 1, CAST(UNIX_TIMESTAMP() AS SIGNED) * 1000000
FROM DUAL
WHERE NOT EXISTS (SELECT 1 FROM account_migrations WHERE version = 1);
