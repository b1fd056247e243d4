-- Roles. The owner runs migrations; the application role has what it needs and no more.
DO $$ BEGIN
  IF NOT EXISTS (SELECT FROM pg_roles WHERE rolname = 'sallyport_app') THEN
    CREATE ROLE sallyport_app NOLOGIN;
  END IF;
END $$;

REVOKE CREATE ON SCHEMA public FROM PUBLIC;
GRANT USAGE ON SCHEMA public TO sallyport_app;
-- Ordinary tables of later migrations.
ALTER DEFAULT PRIVILEGES IN SCHEMA public GRANT SELECT, INSERT, UPDATE, DELETE ON TABLES TO sallyport_app;
ALTER DEFAULT PRIVILEGES IN SCHEMA public GRANT USAGE, SELECT ON SEQUENCES TO sallyport_app;
REVOKE ALL ON schema_migration FROM sallyport_app;

-- The audit log. The application role may insert and read, nothing else; see docs/adr/0004.
CREATE SCHEMA audit;
GRANT USAGE ON SCHEMA audit TO sallyport_app;

-- Order of staging. Changes of one object are ordered by that object's row lock, so this order is the commit order
-- for every single object; the log's own order is audit.leaf.
CREATE SEQUENCE audit.entry_staged AS bigint;
GRANT USAGE ON SEQUENCE audit.entry_staged TO sallyport_app;

-- A field of an entry's bytes. Immutable in fact: convert_from is declared stable for the sake of other encodings only.
CREATE FUNCTION audit.field(bytes bytea, VARIADIC place text[]) RETURNS text
LANGUAGE sql IMMUTABLE STRICT PARALLEL SAFE
RETURN convert_from(bytes, 'UTF8')::jsonb #>> place;

-- The exact bytes are the entry. Everything one searches by is generated from them, so it cannot differ from them.
CREATE TABLE audit.entry (
  staged bigint NOT NULL UNIQUE,
  bytes bytea NOT NULL CHECK (octet_length(bytes) <= 65536),
  -- HMAC-SHA256 of staged and bytes by a key outside the database: a row that the broker did not write has none.
  mac bytea NOT NULL CHECK (octet_length(mac) = 32),
  id uuid GENERATED ALWAYS AS (audit.field(bytes, 'id')::uuid) STORED PRIMARY KEY,
  -- ISO 8601 in UTC with milliseconds sorts as text; a cast to timestamptz would not be immutable.
  time text COLLATE "C" GENERATED ALWAYS AS (audit.field(bytes, 'time')) STORED NOT NULL,
  action text COLLATE "C" GENERATED ALWAYS AS (audit.field(bytes, 'action')) STORED NOT NULL,
  result text GENERATED ALWAYS AS (audit.field(bytes, 'result')) STORED NOT NULL,
  actor text GENERATED ALWAYS AS (audit.field(bytes, 'actor', 'id')) STORED NOT NULL,
  object_kind text GENERATED ALWAYS AS (audit.field(bytes, 'object', 'kind')) STORED,
  object_id text GENERATED ALWAYS AS (audit.field(bytes, 'object', 'id')) STORED,
  request text GENERATED ALWAYS AS (audit.field(bytes, 'correlation', 'request')) STORED,
  session uuid GENERATED ALWAYS AS (audit.field(bytes, 'correlation', 'session')::uuid) STORED,
  recording uuid GENERATED ALWAYS AS (audit.field(bytes, 'correlation', 'recording')::uuid) STORED,
  -- Whether the entry changed its object (it carries a hash before or after), rather than merely naming it.
  changes boolean GENERATED ALWAYS AS (
    audit.field(bytes, 'before') IS NOT NULL
    OR audit.field(bytes, 'after') IS NOT NULL
  ) STORED NOT NULL
);
CREATE INDEX entry_object_change ON audit.entry (object_kind, object_id, staged DESC) WHERE changes;
CREATE INDEX entry_object ON audit.entry (object_kind, object_id, staged DESC);
CREATE INDEX entry_actor ON audit.entry (actor, staged DESC);
CREATE INDEX entry_session ON audit.entry (session, staged DESC) WHERE session IS NOT NULL;
CREATE INDEX entry_recording ON audit.entry (recording, staged DESC) WHERE recording IS NOT NULL;
CREATE INDEX entry_request ON audit.entry (request, staged DESC) WHERE request IS NOT NULL;
CREATE INDEX entry_action ON audit.entry (action, staged DESC);
CREATE INDEX entry_time ON audit.entry (time, staged DESC);
CREATE INDEX entry_not_ok ON audit.entry (result, staged DESC) WHERE result <> 'ok';

-- The log: entry number `idx` of the Merkle tree.
CREATE TABLE audit.leaf (
  idx bigint PRIMARY KEY CHECK (idx >= 0),
  entry uuid NOT NULL UNIQUE REFERENCES audit.entry (id)
);

-- Hashes of the complete subtrees: level 0 the leaves, level n the roots over 2^n leaves each.
CREATE TABLE audit.node (
  level smallint NOT NULL,
  idx bigint NOT NULL,
  hash bytea NOT NULL CHECK (octet_length(hash) = 32),
  PRIMARY KEY (level, idx)
);

CREATE TABLE audit.checkpoint (
  epoch integer NOT NULL,
  size bigint NOT NULL,
  root bytea NOT NULL CHECK (octet_length(root) = 32),
  note text NOT NULL,
  signed_at timestamptz NOT NULL DEFAULT now(),
  PRIMARY KEY (epoch, size)
);

-- Staged rows that the broker did not write. They stay out of the log, for whoever investigates.
CREATE TABLE audit.refused (
  entry uuid PRIMARY KEY REFERENCES audit.entry (id),
  reason text NOT NULL,
  at timestamptz NOT NULL DEFAULT now()
);

-- What the sequencer has still to take. The trigger puts every entry in; the guard lets one out only when it stands
-- in the log or among the refused, so that the application role cannot lose one.
CREATE TABLE audit.pending (
  staged bigint PRIMARY KEY,
  entry uuid NOT NULL
);

CREATE FUNCTION audit.enqueue() RETURNS trigger LANGUAGE plpgsql SECURITY DEFINER
SET search_path = pg_catalog, pg_temp AS $$
BEGIN
  INSERT INTO audit.pending (staged, entry) SELECT staged, id FROM fresh;
  PERFORM pg_notify('audit_staged', '');
  RETURN NULL;
END $$;
CREATE TRIGGER enqueue AFTER INSERT ON audit.entry
  REFERENCING NEW TABLE AS fresh FOR EACH STATEMENT EXECUTE FUNCTION audit.enqueue();

CREATE FUNCTION audit.keep_pending() RETURNS trigger LANGUAGE plpgsql SECURITY DEFINER
SET search_path = pg_catalog, pg_temp AS $$
BEGIN
  IF EXISTS (
    SELECT FROM gone
    WHERE NOT EXISTS (SELECT FROM audit.leaf WHERE leaf.entry = gone.entry)
      AND NOT EXISTS (SELECT FROM audit.refused WHERE refused.entry = gone.entry)
  ) THEN
    RAISE EXCEPTION 'a staged entry leaves the queue only into the log' USING ERRCODE = 'insufficient_privilege';
  END IF;
  RETURN NULL;
END $$;
CREATE TRIGGER keep_pending AFTER DELETE ON audit.pending
  REFERENCING OLD TABLE AS gone FOR EACH STATEMENT EXECUTE FUNCTION audit.keep_pending();

REVOKE ALL ON FUNCTION audit.enqueue(), audit.keep_pending() FROM PUBLIC;
GRANT SELECT, INSERT ON audit.entry, audit.leaf, audit.node, audit.checkpoint, audit.refused TO sallyport_app;
GRANT SELECT, DELETE ON audit.pending TO sallyport_app;

-- Things somebody must look at. Open until closed; at most one open alarm of a kind for a subject.
CREATE TABLE alarm (
  id uuid PRIMARY KEY,
  kind text NOT NULL,
  subject text NOT NULL,
  message text NOT NULL,
  opened_at timestamptz NOT NULL DEFAULT now(),
  acknowledged_at timestamptz,
  acknowledged_by text,
  closed_at timestamptz,
  closed_by text,
  closing_note text
);
CREATE UNIQUE INDEX alarm_open ON alarm (kind, subject) WHERE closed_at IS NULL;
CREATE INDEX alarm_history ON alarm (opened_at DESC);

-- The highest wall clock any broker has seen, milliseconds since the epoch. One row.
CREATE TABLE clock_mark (
  one boolean PRIMARY KEY DEFAULT true CHECK (one),
  wall_ms bigint NOT NULL
);
