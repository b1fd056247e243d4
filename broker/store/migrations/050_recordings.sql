-- What has arrived of each recording. The truth is the signed manifest and the segment files; these rows find them.
CREATE TABLE recording (
  id uuid PRIMARY KEY,
  session uuid NOT NULL,
  gateway uuid NOT NULL,
  state text NOT NULL CONSTRAINT recording_state_is_known CHECK (state IN ('arriving', 'complete', 'recovered')),
  first_seen_at timestamptz NOT NULL,
  manifest_hash text,
  -- Audit entry of the manifest.
  manifest_entry uuid,
  first_index bigint,
  last_index bigint,
  finished_at timestamptz,
  duration_ms bigint,
  started_at timestamptz,
  end_reason text,
  torn_bytes bigint NOT NULL DEFAULT 0,
  CONSTRAINT a_finished_recording_has_a_manifest CHECK ((state = 'arriving') = (manifest_hash IS NULL))
);
CREATE UNIQUE INDEX recording_session ON recording (session);
CREATE INDEX recording_arriving ON recording (first_seen_at) WHERE state = 'arriving';

CREATE TABLE recording_segment (
  recording uuid NOT NULL REFERENCES recording (id),
  stream text NOT NULL CHECK (stream IN ('screen', 'input')),
  number integer NOT NULL CHECK (number >= 0),
  bytes bigint NOT NULL,
  sha256 text NOT NULL,
  t0_ms bigint NOT NULL,
  t1_ms bigint NOT NULL,
  chunks integer NOT NULL,
  -- Plaintext bytes per ten seconds from the segment's t0 bucket on: the timeline's activity, known without any key.
  activity jsonb NOT NULL,
  PRIMARY KEY (recording, stream, number)
);

CREATE TABLE recording_gap (
  recording uuid NOT NULL REFERENCES recording (id),
  stream text NOT NULL,
  t0_ms bigint NOT NULL,
  t1_ms bigint NOT NULL,
  reason text NOT NULL,
  PRIMARY KEY (recording, stream, t0_ms)
);

CREATE TABLE recording_check (
  recording uuid NOT NULL REFERENCES recording (id),
  at timestamptz NOT NULL,
  verdict text NOT NULL CHECK (verdict IN ('VALID', 'VALID-TRUNCATED', 'INVALID')),
  checks jsonb NOT NULL,
  PRIMARY KEY (recording, at)
);
