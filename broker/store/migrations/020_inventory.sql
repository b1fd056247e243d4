-- What can be reached, and by which declared path. Rows of vendor, zone, conduit, asset, endpoint and
-- endpoint_identity open doors and count only when the audit log's latest entry for the row carries its hash.
-- The tables gateway, session and site_lock come with migration 030.

CREATE TABLE vendor (
  id uuid PRIMARY KEY,
  name text NOT NULL CHECK (name <> ''),
  enabled boolean NOT NULL DEFAULT true,
  contract_ends_at timestamptz NOT NULL,
  -- The internal owner, who answers for this vendor.
  sponsor_id uuid NOT NULL REFERENCES person (id),
  tier text NOT NULL CHECK (tier IN ('1', '2', '3')),
  created_at timestamptz NOT NULL,
  CONSTRAINT a_vendor_name_is_used_once UNIQUE (name)
);
ALTER TABLE person ADD CONSTRAINT a_person_works_for_a_known_vendor
  FOREIGN KEY (vendor_id) REFERENCES vendor (id);

CREATE TABLE site (
  id uuid PRIMARY KEY,
  name text NOT NULL CHECK (name <> ''),
  -- IANA name; checked by the application against its time zone data.
  time_zone text NOT NULL CHECK (time_zone <> ''),
  created_at timestamptz NOT NULL,
  CONSTRAINT a_site_name_is_used_once UNIQUE (name)
);
ALTER TABLE role ADD CONSTRAINT a_role_is_held_at_a_known_site FOREIGN KEY (site_id) REFERENCES site (id);

-- What must be accepted before a session: recorded, watched, by whom, under which law. Versions are never edited.
CREATE TABLE site_notice (
  site_id uuid NOT NULL REFERENCES site (id),
  version integer NOT NULL CHECK (version >= 1),
  text text NOT NULL CHECK (text <> ''),
  created_by uuid REFERENCES person (id),
  created_at timestamptz NOT NULL,
  PRIMARY KEY (site_id, version)
);

CREATE TABLE zone (
  id uuid PRIMARY KEY,
  site_id uuid NOT NULL REFERENCES site (id),
  name text NOT NULL CHECK (name <> ''),
  -- CIDR texts, at least one.
  ranges jsonb NOT NULL CHECK (jsonb_typeof(ranges) = 'array' AND jsonb_array_length(ranges) > 0),
  created_at timestamptz NOT NULL,
  CONSTRAINT a_zone_name_is_used_once_per_site UNIQUE (site_id, name),
  CONSTRAINT zone_and_site_go_together UNIQUE (id, site_id)
);

CREATE TABLE conduit (
  id uuid PRIMARY KEY,
  site_id uuid NOT NULL REFERENCES site (id),
  name text NOT NULL CHECK (name <> ''),
  from_zone_id uuid NOT NULL,
  to_zone_id uuid NOT NULL,
  protocols jsonb NOT NULL CHECK (jsonb_typeof(protocols) = 'array' AND jsonb_array_length(protocols) > 0),
  enabled boolean NOT NULL DEFAULT true,
  created_at timestamptz NOT NULL,
  CONSTRAINT a_conduit_name_is_used_once_per_site UNIQUE (site_id, name),
  CONSTRAINT a_conduit_joins_two_zones CHECK (from_zone_id <> to_zone_id),
  CONSTRAINT a_conduit_starts_in_a_zone_of_its_site FOREIGN KEY (from_zone_id, site_id) REFERENCES zone (id, site_id),
  CONSTRAINT a_conduit_ends_in_a_zone_of_its_site FOREIGN KEY (to_zone_id, site_id) REFERENCES zone (id, site_id)
);
CREATE INDEX conduit_by_zones ON conduit (from_zone_id, to_zone_id);

CREATE TABLE asset (
  id uuid PRIMARY KEY,
  site_id uuid NOT NULL REFERENCES site (id),
  zone_id uuid NOT NULL,
  -- Chosen by an administrator; the foreign key comes with the gateway table.
  gateway_id uuid,
  name text NOT NULL CHECK (name <> ''),
  description text NOT NULL,
  type text NOT NULL CHECK (type IN ('plc', 'hmi', 'dcs', 'scada', 'rtu', 'sis', 'historian', 'robot',
    'engineering-station', 'other')),
  criticality text NOT NULL CHECK (criticality IN ('C1', 'C2', 'C3', 'C4')),
  owner text NOT NULL CHECK (owner <> ''),
  -- IP address or DNS name. Leaves the broker only in grants and towards administrators.
  address text NOT NULL CHECK (address <> ''),
  enabled boolean NOT NULL DEFAULT true,
  ending_mode text NOT NULL CHECK (ending_mode IN ('operator-confirm', 'grace', 'cut')),
  ending_hold_seconds integer NOT NULL CHECK (ending_hold_seconds BETWEEN 0 AND 1800),
  ending_input_during_grace boolean NOT NULL DEFAULT false,
  safety smallint NOT NULL CHECK (safety BETWEEN 0 AND 4),
  availability smallint NOT NULL CHECK (availability BETWEEN 0 AND 4),
  integrity smallint NOT NULL CHECK (integrity BETWEEN 0 AND 4),
  confidentiality smallint NOT NULL CHECK (confidentiality BETWEEN 0 AND 4),
  regulatory smallint NOT NULL CHECK (regulatory BETWEEN 0 AND 4),
  hazard text NOT NULL,
  compensating_controls text NOT NULL,
  last_verified_at timestamptz,
  created_at timestamptz NOT NULL,
  CONSTRAINT an_asset_name_is_used_once_per_site UNIQUE (site_id, name),
  CONSTRAINT an_asset_lies_in_a_zone_of_its_site FOREIGN KEY (zone_id, site_id) REFERENCES zone (id, site_id)
);
CREATE INDEX asset_by_zone ON asset (zone_id);

CREATE TABLE endpoint (
  id uuid PRIMARY KEY,
  asset_id uuid NOT NULL REFERENCES asset (id),
  protocol text NOT NULL CHECK (protocol IN ('ssh')),
  port integer NOT NULL CHECK (port BETWEEN 1 AND 65535),
  -- The identity the asset showed last, by a probe or a session; not trusted by being here.
  seen_algorithm text,
  seen_fingerprint text,
  seen_at timestamptz,
  created_at timestamptz NOT NULL,
  CONSTRAINT an_endpoint_is_declared_once UNIQUE (asset_id, protocol, port),
  CONSTRAINT a_seen_identity_is_whole CHECK (
    (seen_algorithm IS NULL) = (seen_fingerprint IS NULL) AND (seen_algorithm IS NULL) = (seen_at IS NULL))
);

-- Identities that an administrator compared and accepted. A changed key is accepted as a new row; the old is retired.
CREATE TABLE endpoint_identity (
  id uuid PRIMARY KEY,
  endpoint_id uuid NOT NULL REFERENCES endpoint (id),
  algorithm text NOT NULL CHECK (algorithm <> ''),
  fingerprint text NOT NULL CHECK (fingerprint <> ''),
  accepted_by uuid NOT NULL REFERENCES person (id),
  accepted_at timestamptz NOT NULL,
  reason text NOT NULL,
  retired_at timestamptz
);
CREATE UNIQUE INDEX an_identity_is_pinned_once ON endpoint_identity (endpoint_id, fingerprint)
  WHERE retired_at IS NULL;

-- Sealed under the vault key, which is not in the database; the seal names endpoint and account, so a row that is
-- copied to another account does not open.
CREATE TABLE credential (
  endpoint_id uuid NOT NULL REFERENCES endpoint (id),
  account text NOT NULL CHECK (account <> ''),
  kind text NOT NULL CHECK (kind IN ('password', 'private-key')),
  sealed bytea NOT NULL,
  vault_key_id text NOT NULL,
  updated_by uuid REFERENCES person (id),
  updated_at timestamptz NOT NULL,
  PRIMARY KEY (endpoint_id, account)
);
