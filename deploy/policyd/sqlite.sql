-- Tenants and their origins in SQLite, for policyd.yaml with database: sqlite:FILE.
--
--   sqlite3 /var/lib/cors-policyd/origins.db < sqlite.sql
--
-- SQLite has no users: who may write the file and its folder may write the rows.

-- So that who writes and who reads don't wait for each other.
PRAGMA journal_mode = WAL;

CREATE TABLE tenants (
    name TEXT PRIMARY KEY NOT NULL CHECK (name NOT GLOB '*[^a-zA-Z0-9_.-]*' AND length(name) BETWEEN 1 AND 64),
    host TEXT UNIQUE CHECK (host LIKE '%.api.example.com') -- if it has one of its own
) STRICT;

CREATE TABLE tenant_origins (
    tenant     TEXT NOT NULL REFERENCES tenants ON DELETE CASCADE,
    -- As POST /v1/check has found it good. What would let everybody in, '*' and 'null', isn't
    -- a tenant's to say.
    origin     TEXT NOT NULL CHECK (origin LIKE 'https://_%' AND length(origin) <= 300),
    -- What the tenant has to publish in its domain, and whether it was there.
    challenge  TEXT NOT NULL,
    verified   INTEGER NOT NULL DEFAULT 0 CHECK (verified IN (0, 1)),
    created_at TEXT NOT NULL DEFAULT CURRENT_TIMESTAMP,
    PRIMARY KEY (tenant, origin)
) STRICT;
-- For look-ups, by origin.
CREATE INDEX tenant_origins_verified ON tenant_origins (origin) WHERE verified;

-- What "cors-policyd origins add" writes. It makes the table itself where it may.
CREATE TABLE cors_origins (
    policy     TEXT NOT NULL,
    origin     TEXT NOT NULL,
    created_at TIMESTAMP NOT NULL DEFAULT CURRENT_TIMESTAMP,
    PRIMARY KEY (policy, origin)
);
