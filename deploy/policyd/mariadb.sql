-- Tenants and their origins in MariaDB (tested with 10.11) or MySQL (8.0.16 or later), and who
-- may do what.
--
--   mariadb app < mariadb.sql
--
-- Replace: both passwords. To give your own tables the same, see "Your own tables" in
-- docs/database.md. Nothing here tells cors-policyd of changes: it asks at each poll.

-- Origins are ASCII, and compare by their bytes: with the collations that are usual
-- 'https://SHOP.example' would be found for 'https://shop.example'.
CREATE TABLE tenants (
    name VARCHAR(64) NOT NULL PRIMARY KEY,          -- the policy's name
    host VARCHAR(255) UNIQUE,                       -- if it has one of its own
    CHECK (name REGEXP '^[a-zA-Z0-9_.-]{1,64}$'),
    CHECK (host LIKE '%.api.example.com')
) CHARACTER SET ascii COLLATE ascii_bin;

CREATE TABLE tenant_origins (
    tenant     VARCHAR(64) NOT NULL,
    -- As POST /v1/check has found it good. What would let everybody in, '*' and 'null', isn't
    -- a tenant's to say.
    origin     VARCHAR(300) NOT NULL,
    -- What the tenant has to publish in its domain, and whether it was there.
    challenge  VARCHAR(255) NOT NULL,
    verified   BOOLEAN NOT NULL DEFAULT FALSE,
    created_at TIMESTAMP NOT NULL DEFAULT CURRENT_TIMESTAMP,
    PRIMARY KEY (tenant, origin),
    KEY by_origin (origin, verified),               -- for look-ups
    CHECK (origin LIKE 'https://_%'),
    FOREIGN KEY (tenant) REFERENCES tenants (name) ON DELETE CASCADE
) CHARACTER SET ascii COLLATE ascii_bin;

-- What "cors-policyd origins add" writes. It makes the table itself where it may.
CREATE TABLE cors_origins (
    policy     VARCHAR(300) NOT NULL,
    origin     VARCHAR(300) NOT NULL,
    created_at TIMESTAMP NOT NULL DEFAULT CURRENT_TIMESTAMP,
    PRIMARY KEY (policy, origin)
) CHARACTER SET ascii COLLATE ascii_bin;

-- cors-policyd itself: it reads what its queries name, and nothing else.
CREATE USER cors_policyd IDENTIFIED BY 'a password of yours';
GRANT SELECT (name, host) ON tenants TO cors_policyd;
GRANT SELECT (tenant, origin, verified) ON tenant_origins TO cors_policyd;
GRANT SELECT ON cors_origins TO cors_policyd;

-- Who runs "cors-policyd origins add" and "remove".
CREATE USER cors_registrar IDENTIFIED BY 'another password of yours';
GRANT SELECT, INSERT, DELETE ON cors_origins TO cors_registrar;
