-- Tenants and their origins in PostgreSQL (tested with 15), what tells cors-policyd of changes,
-- and who may do what.
--
--   psql -v ON_ERROR_STOP=1 -1 -f postgresql.sql app
--
-- Replace: both passwords. To give your own tables the same, see "Your own tables" in
-- docs/database.md.

CREATE TABLE tenants (
    name text PRIMARY KEY CHECK (name ~ '^[a-zA-Z0-9_.-]{1,64}$'), -- the policy's name
    host text UNIQUE CHECK (host LIKE '%.api.example.com')         -- if it has one of its own
);

CREATE TABLE tenant_origins (
    tenant     text NOT NULL REFERENCES tenants ON DELETE CASCADE,
    -- As POST /v1/check has found it good. What would let everybody in, '*' and 'null', isn't
    -- a tenant's to say.
    origin     text NOT NULL CHECK (origin LIKE 'https://_%' AND length(origin) <= 300),
    -- What the tenant has to publish in its domain, and whether it was there.
    challenge  text NOT NULL,
    verified   boolean NOT NULL DEFAULT false,
    created_at timestamptz NOT NULL DEFAULT now(),
    PRIMARY KEY (tenant, origin)
);
-- For look-ups, by origin.
CREATE INDEX ON tenant_origins (origin) WHERE verified;

-- What "cors-policyd origins add" writes. It makes the table itself where it may.
CREATE TABLE cors_origins (
    policy     text NOT NULL,
    origin     text NOT NULL,
    created_at timestamp NOT NULL DEFAULT CURRENT_TIMESTAMP,
    PRIMARY KEY (policy, origin)
);

-- One notice for each statement, however many rows it changes; PostgreSQL folds those of one
-- transaction into one, and hands it over when that is committed.
CREATE FUNCTION cors_origins_changed() RETURNS trigger LANGUAGE plpgsql AS $$
BEGIN
    NOTIFY cors_origins;
    RETURN NULL;
END $$;
CREATE TRIGGER cors_origins_changed AFTER INSERT OR UPDATE OR DELETE OR TRUNCATE ON tenants
    FOR EACH STATEMENT EXECUTE FUNCTION cors_origins_changed();
CREATE TRIGGER cors_origins_changed AFTER INSERT OR UPDATE OR DELETE OR TRUNCATE ON tenant_origins
    FOR EACH STATEMENT EXECUTE FUNCTION cors_origins_changed();
CREATE TRIGGER cors_origins_changed AFTER INSERT OR UPDATE OR DELETE OR TRUNCATE ON cors_origins
    FOR EACH STATEMENT EXECUTE FUNCTION cors_origins_changed();

-- cors-policyd itself: it reads what its queries name, and nothing else. LISTEN needs no right.
CREATE ROLE cors_policyd LOGIN PASSWORD 'a password of yours';
ALTER ROLE cors_policyd SET default_transaction_read_only = on;
GRANT SELECT (name, host) ON tenants TO cors_policyd;
GRANT SELECT (tenant, origin, verified) ON tenant_origins TO cors_policyd;
GRANT SELECT ON cors_origins TO cors_policyd;

-- Who runs "cors-policyd origins add" and "remove".
CREATE ROLE cors_registrar LOGIN PASSWORD 'another password of yours';
GRANT SELECT, INSERT, DELETE ON cors_origins TO cors_registrar;
