-- Gateways: who may connect to the link port. Rows open doors, so they count only with the hash of their latest
-- audit entry (broker/link/gateway-rows.ts).

CREATE TABLE gateway (
  id uuid PRIMARY KEY,
  site_id uuid NOT NULL REFERENCES site (id),
  zone_id uuid NOT NULL,
  name text NOT NULL CHECK (name <> ''),
  -- SHA-256 (hex) of the DER certificate in use; null until enrolled. A former certificate stops counting with this.
  certificate text CHECK (certificate ~ '^[0-9a-f]{64}$'),
  certificate_ends_at timestamptz,
  -- Public JWKs: manifests and anchors are signed by the one, credentials are sealed to the other.
  sign_key jsonb,
  seal_key jsonb,
  enrolled_at timestamptz,
  revoked_at timestamptz,
  revoked_because text,
  created_at timestamptz NOT NULL,
  -- What it last told about itself; not security-relevant, not in the row's hash.
  version text,
  last_seen_at timestamptz,
  clock_offset_ms bigint,
  free_bytes bigint,
  reserve_bytes bigint,
  spooled_recordings integer,
  CONSTRAINT a_gateway_name_is_used_once_per_site UNIQUE (site_id, name),
  CONSTRAINT a_gateway_stands_in_a_zone_of_its_site FOREIGN KEY (zone_id, site_id) REFERENCES zone (id, site_id),
  CONSTRAINT an_enrolment_is_whole CHECK (
    (certificate IS NULL) = (sign_key IS NULL) AND (certificate IS NULL) = (seal_key IS NULL)
    AND (certificate IS NULL) = (enrolled_at IS NULL) AND (certificate IS NULL) = (certificate_ends_at IS NULL))
);
ALTER TABLE asset ADD CONSTRAINT an_asset_is_reached_by_a_known_gateway
  FOREIGN KEY (gateway_id) REFERENCES gateway (id);

-- Keys a gateway had before: old manifests and anchors are still checked by them.
CREATE TABLE gateway_key (
  gateway_id uuid NOT NULL REFERENCES gateway (id),
  kid text NOT NULL,
  sign_key jsonb NOT NULL,
  since timestamptz NOT NULL,
  PRIMARY KEY (gateway_id, kid)
);

-- One-time enrolment tokens, hashed; used once, for an hour.
CREATE TABLE enrolment_token (
  token_hash bytea PRIMARY KEY CHECK (octet_length(token_hash) = 32),
  gateway_id uuid NOT NULL REFERENCES gateway (id),
  created_by uuid REFERENCES person (id),
  created_at timestamptz NOT NULL,
  expires_at timestamptz NOT NULL,
  used_at timestamptz
);
CREATE INDEX enrolment_token_by_gateway ON enrolment_token (gateway_id);

-- How far the events of one run of a gateway are committed: each counts once, in order.
CREATE TABLE gateway_event_mark (
  gateway_id uuid NOT NULL REFERENCES gateway (id),
  boot uuid NOT NULL,
  seq bigint NOT NULL CHECK (seq >= 0),
  at timestamptz NOT NULL,
  PRIMARY KEY (gateway_id, boot)
);

-- A site where nothing may run until the lock is cleared.
CREATE TABLE site_lock (
  id uuid PRIMARY KEY,
  site_id uuid NOT NULL REFERENCES site (id),
  locked_by uuid NOT NULL REFERENCES person (id),
  reason text NOT NULL,
  since timestamptz NOT NULL,
  cleared_at timestamptz,
  cleared_by uuid REFERENCES person (id)
);
CREATE UNIQUE INDEX a_site_is_locked_once ON site_lock (site_id) WHERE cleared_at IS NULL;
