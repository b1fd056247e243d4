-- Requests, approvals, change tickets. Instants are UTC; ids are UUIDv7 made by the application.
-- Rows of approval_rule, ticket_key, access_request, approval, extension_request and change_ticket open doors: they
-- count only when the audit log's latest entry for the row carries its hash. Signed documents are kept as the exact
-- text that was signed (RFC 8785), never as jsonb.

-- How many people, holding which of these roles at the site.
CREATE TABLE approval_rule (
  id uuid PRIMARY KEY,
  site_id uuid NOT NULL REFERENCES site (id),
  criticality text NOT NULL CHECK (criticality IN ('C1', 'C2', 'C3', 'C4')),
  need integer NOT NULL CHECK (need BETWEEN 1 AND 5),
  roles jsonb NOT NULL CHECK (jsonb_typeof(roles) = 'array' AND jsonb_array_length(roles) > 0),
  CONSTRAINT a_site_has_one_rule_per_criticality UNIQUE (site_id, criticality),
  CONSTRAINT safety_needs_two_people CHECK (criticality <> 'C1' OR need >= 2)
);

-- Public keys by which signed ticket files count. One key speaks for one site.
CREATE TABLE ticket_key (
  id uuid PRIMARY KEY,
  site_id uuid NOT NULL REFERENCES site (id),
  name text NOT NULL CHECK (name <> ''),
  -- RFC 7638 thumbprint of the key.
  kid text NOT NULL,
  jwk text NOT NULL,
  enabled boolean NOT NULL DEFAULT true,
  added_by uuid NOT NULL REFERENCES person (id),
  added_at timestamptz NOT NULL,
  CONSTRAINT a_ticket_key_is_registered_once UNIQUE (kid)
);

-- Every file that counted, as it came. `issued_at` only grows per key: an old file does not revive a closed ticket.
CREATE TABLE ticket_file (
  id uuid PRIMARY KEY,
  site_id uuid NOT NULL REFERENCES site (id),
  key_id uuid NOT NULL REFERENCES ticket_key (id),
  jws text NOT NULL,
  sha256 text NOT NULL,
  issued_at timestamptz NOT NULL,
  received_at timestamptz NOT NULL,
  -- Null: dropped in the folder.
  received_by uuid REFERENCES person (id),
  CONSTRAINT a_ticket_file_counts_once UNIQUE (sha256)
);
CREATE INDEX ticket_file_by_key ON ticket_file (key_id, issued_at DESC);

-- What a ticket said at a time, one row per content that was seen; `signed` is the broker's JWS over it.
CREATE TABLE change_ticket (
  site_id uuid NOT NULL REFERENCES site (id),
  system text NOT NULL CHECK (system <> ''),
  key text NOT NULL CHECK (key <> ''),
  hash text NOT NULL,
  -- The ticket's canonical JSON.
  content text NOT NULL,
  fetched_at timestamptz NOT NULL,
  signed text NOT NULL,
  file_id uuid REFERENCES ticket_file (id),
  -- For lists; the content is what counts.
  state text NOT NULL,
  planned_end timestamptz,
  PRIMARY KEY (site_id, system, key)
);
-- Former contents, for the history of a ticket.
CREATE TABLE change_ticket_version (
  site_id uuid NOT NULL,
  system text NOT NULL,
  key text NOT NULL,
  seen_at timestamptz NOT NULL,
  hash text NOT NULL,
  content text NOT NULL,
  signed text NOT NULL,
  PRIMARY KEY (site_id, system, key, seen_at),
  FOREIGN KEY (site_id, system, key) REFERENCES change_ticket (site_id, system, key)
);

CREATE TABLE access_request (
  id uuid PRIMARY KEY,
  site_id uuid NOT NULL REFERENCES site (id),
  asset_id uuid NOT NULL REFERENCES asset (id),
  endpoint_id uuid NOT NULL REFERENCES endpoint (id),
  requester_id uuid NOT NULL REFERENCES person (id),
  vendor_id uuid NOT NULL REFERENCES vendor (id),
  version integer NOT NULL CHECK (version >= 1),
  state text NOT NULL CHECK (state IN ('waiting', 'approved', 'declined', 'withdrawn', 'ended')),
  -- Copies of the current version's, for lists and conflicts.
  snapshot_hash text NOT NULL,
  ticket_system text NOT NULL,
  ticket_key text NOT NULL,
  opens_at timestamptz NOT NULL,
  closes_at timestamptz NOT NULL,
  created_at timestamptz NOT NULL,
  CONSTRAINT a_window_opens_before_it_closes CHECK (opens_at < closes_at)
);
CREATE INDEX access_request_by_requester ON access_request (requester_id, id DESC);
CREATE INDEX access_request_by_site ON access_request (site_id, id DESC);
CREATE INDEX access_request_by_ticket ON access_request (site_id, ticket_system, ticket_key);
CREATE INDEX access_request_by_time ON access_request (site_id, opens_at, closes_at);

-- Each edit is a new row; none is ever changed.
CREATE TABLE access_request_version (
  request_id uuid NOT NULL REFERENCES access_request (id),
  version integer NOT NULL CHECK (version >= 1),
  snapshot text NOT NULL,
  snapshot_hash text NOT NULL,
  asset_snapshot text NOT NULL,
  ticket_snapshot text NOT NULL,
  created_by uuid REFERENCES person (id),
  created_at timestamptz NOT NULL,
  PRIMARY KEY (request_id, version)
);
REVOKE UPDATE, DELETE ON access_request_version FROM sallyport_app;

-- More time for a running session. Its snapshot is a document of its own.
CREATE TABLE extension_request (
  id uuid PRIMARY KEY,
  session_id uuid NOT NULL,
  request_id uuid NOT NULL REFERENCES access_request (id),
  request_version integer NOT NULL,
  requester_id uuid NOT NULL REFERENCES person (id),
  minutes integer NOT NULL CHECK (minutes BETWEEN 5 AND 240),
  closes_at timestamptz NOT NULL,
  snapshot text NOT NULL,
  snapshot_hash text NOT NULL,
  asked_at timestamptz NOT NULL
);
CREATE INDEX extension_by_request ON extension_request (request_id);
CREATE INDEX extension_by_session ON extension_request (session_id);
REVOKE UPDATE, DELETE ON extension_request FROM sallyport_app;

-- What an approver is about to sign, built and kept by the server. Used once: a second answer finds `used_at`.
CREATE TABLE approval_challenge (
  id uuid PRIMARY KEY,
  person_id uuid NOT NULL REFERENCES person (id),
  sign_in_id uuid NOT NULL,
  request_id uuid NOT NULL REFERENCES access_request (id),
  extension_id uuid REFERENCES extension_request (id),
  version integer NOT NULL,
  document text NOT NULL,
  reason text,
  created_at timestamptz NOT NULL,
  expires_at timestamptz NOT NULL,
  used_at timestamptz
);
CREATE INDEX approval_challenge_by_expiry ON approval_challenge (expires_at);

CREATE TABLE approval (
  id uuid PRIMARY KEY,
  request_id uuid NOT NULL REFERENCES access_request (id),
  version integer NOT NULL,
  extension_id uuid REFERENCES extension_request (id),
  person_id uuid NOT NULL REFERENCES person (id),
  decision text NOT NULL CHECK (decision IN ('granted', 'declined')),
  snapshot_hash text NOT NULL,
  -- The stored record in canonical JSON (broker/contract/approval-record.ts): document, approver, raw assertion.
  record text NOT NULL,
  document_hash text NOT NULL,
  reason text,
  at timestamptz NOT NULL,
  withdrawn_at timestamptz,
  withdrawn_by uuid REFERENCES person (id),
  withdrawn_because text,
  CONSTRAINT a_document_is_signed_once UNIQUE (document_hash),
  CONSTRAINT a_withdrawal_has_a_person_and_a_time CHECK ((withdrawn_at IS NULL) = (withdrawn_by IS NULL))
);
-- One standing decision of a person for one version or one extension, also when two tabs answer at once.
CREATE UNIQUE INDEX a_person_decides_a_request_once ON approval (request_id, version, person_id)
  WHERE extension_id IS NULL AND withdrawn_at IS NULL;
CREATE UNIQUE INDEX a_person_decides_an_extension_once ON approval (extension_id, person_id)
  WHERE extension_id IS NOT NULL AND withdrawn_at IS NULL;
