CREATE TABLE session (
  id uuid PRIMARY KEY,
  -- The request's table comes later; the broker never deletes requests.
  request_id uuid NOT NULL,
  request_version integer NOT NULL,
  recording_id uuid NOT NULL UNIQUE,
  -- The first grant; extensions keep the id and raise the serial.
  grant_id uuid NOT NULL UNIQUE,
  grant_serial integer NOT NULL CHECK (grant_serial >= 1),
  -- The newest grant, as signed, and what it was decided from: an old decision can be replayed.
  grant_jws text NOT NULL,
  facts jsonb NOT NULL,
  gateway_id uuid NOT NULL REFERENCES gateway (id),
  site_id uuid NOT NULL REFERENCES site (id),
  asset_id uuid NOT NULL REFERENCES asset (id),
  endpoint_id uuid NOT NULL REFERENCES endpoint (id),
  person_id uuid NOT NULL REFERENCES person (id),
  vendor_id uuid REFERENCES vendor (id),
  protocol text NOT NULL,
  account text NOT NULL,
  -- What a list shows, as it was then: names change, what happened does not.
  view jsonb NOT NULL,
  -- All that one may search by, lower case.
  searchable text NOT NULL,
  ticket_key text NOT NULL,
  state text NOT NULL CHECK (state IN ('opening', 'live', 'held', 'closing', 'closed')),
  input_frozen boolean NOT NULL DEFAULT false,
  cause text,
  by text,
  permit_ends_at timestamptz NOT NULL,
  hold_ends_at timestamptz,
  opened_at timestamptz NOT NULL,
  live_at timestamptz,
  ended_at timestamptz,
  end_code text,
  end_message text,
  ended_by text,
  closed_after_ms integer,
  bytes_out bigint,
  bytes_in bigint,
  watchers jsonb NOT NULL DEFAULT '[]',
  closing_note text,
  stop_reason text,
  credential_fetched_at timestamptz,
  manifest_at timestamptz,
  manifest_ended text CHECK (manifest_ended IN ('clean', 'recovered')),
  CONSTRAINT a_closed_session_says_why CHECK ((state = 'closed') = (ended_at IS NOT NULL AND end_code IS NOT NULL))
);
-- Two people may press "start" in the same moment; one of them gets the endpoint.
CREATE UNIQUE INDEX one_live_session_per_endpoint ON session (endpoint_id) WHERE state <> 'closed';
CREATE INDEX session_newest ON session (opened_at DESC, id DESC);
CREATE INDEX session_by_site ON session (site_id, opened_at DESC, id DESC);
CREATE INDEX session_by_person ON session (person_id, opened_at DESC, id DESC);
CREATE INDEX session_by_asset ON session (asset_id, opened_at DESC, id DESC);
CREATE INDEX session_by_request ON session (request_id);
CREATE INDEX session_running ON session (gateway_id) WHERE state <> 'closed';
CREATE INDEX session_without_manifest ON session (ended_at) WHERE state = 'closed' AND manifest_at IS NULL;

-- Every grant of a session as it was signed, by serial: evidence.
CREATE TABLE session_grant (
  session_id uuid NOT NULL REFERENCES session (id),
  serial integer NOT NULL CHECK (serial >= 1),
  jws text NOT NULL,
  PRIMARY KEY (session_id, serial)
);
REVOKE UPDATE, DELETE ON session_grant FROM sallyport_app;

CREATE TABLE notice_acceptance (
  person_id uuid NOT NULL REFERENCES person (id),
  site_id uuid NOT NULL,
  version integer NOT NULL,
  accepted_at timestamptz NOT NULL,
  PRIMARY KEY (person_id, site_id, version),
  FOREIGN KEY (site_id, version) REFERENCES site_notice (site_id, version)
);

-- Each head of each anchor with its inclusion path, so that a recording keeps its own proof. `entry` is the audit
-- entry that holds the root.
CREATE TABLE anchor_head (
  recording_id uuid NOT NULL,
  stream text NOT NULL CHECK (stream IN ('screen', 'input')),
  segment integer NOT NULL,
  seq integer NOT NULL,
  c bytea NOT NULL CHECK (octet_length(c) = 32),
  root bytea NOT NULL CHECK (octet_length(root) = 32),
  leaf_index integer NOT NULL,
  size integer NOT NULL,
  -- Hex of each 32-byte node, from the leaf upwards.
  path jsonb NOT NULL CHECK (jsonb_typeof(path) = 'array'),
  entry uuid,
  at timestamptz NOT NULL,
  PRIMARY KEY (recording_id, stream, segment, seq, root)
);
