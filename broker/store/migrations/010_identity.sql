-- People, their sign-ins, passkeys and roles. Instants are UTC; ids are UUIDv7 made by the application.
-- Rows of person, passkey and role open doors: the application counts them only when the audit log's latest entry
-- for the row carries its hash (evidence.md). A row inserted or edited here by hand opens nothing.

CREATE TABLE person (
  id uuid PRIMARY KEY,
  -- 'local' for passkey accounts (subject = id), otherwise the OIDC issuer and its subject.
  issuer text NOT NULL CHECK (issuer <> ''),
  subject text NOT NULL CHECK (subject <> ''),
  name text NOT NULL CHECK (name <> ''),
  email text,
  -- Null: one of the site owner's own people.
  vendor_id uuid,
  enabled boolean NOT NULL DEFAULT true,
  account_ends_at timestamptz,
  training_valid_until timestamptz,
  last_sign_in_at timestamptz,
  -- Raised by every revocation; a sign-in made under a lower one is over.
  revocation_epoch integer NOT NULL DEFAULT 0 CHECK (revocation_epoch >= 0),
  created_at timestamptz NOT NULL,
  CONSTRAINT an_account_belongs_to_one_person UNIQUE (issuer, subject)
);
CREATE INDEX person_by_vendor ON person (vendor_id) WHERE vendor_id IS NOT NULL;

CREATE TABLE passkey (
  id uuid PRIMARY KEY,
  person_id uuid NOT NULL REFERENCES person (id),
  -- Base64url, as WebAuthn gives it.
  credential_id text NOT NULL CHECK (credential_id <> ''),
  -- COSE_Key.
  public_key bytea NOT NULL,
  -- The authenticator's signature counter when it was last used; 0 for authenticators without one.
  counter bigint NOT NULL DEFAULT 0,
  transports jsonb NOT NULL DEFAULT '[]',
  backup_eligible boolean NOT NULL,
  backed_up boolean NOT NULL,
  aaguid text NOT NULL,
  label text NOT NULL CHECK (label <> ''),
  created_at timestamptz NOT NULL,
  last_used_at timestamptz,
  -- Signing approvals needs a confirmation by somebody else; signing in does not.
  confirmed_by uuid REFERENCES person (id),
  confirmed_at timestamptz,
  removed_at timestamptz,
  CONSTRAINT a_credential_is_registered_once UNIQUE (credential_id),
  CONSTRAINT a_confirmation_has_a_person_and_a_time CHECK ((confirmed_by IS NULL) = (confirmed_at IS NULL))
);
CREATE INDEX passkey_by_person ON passkey (person_id);

CREATE TABLE role (
  id uuid PRIMARY KEY,
  person_id uuid NOT NULL REFERENCES person (id),
  role text NOT NULL CHECK (role IN ('vendor', 'approver', 'operator', 'auditor', 'administrator')),
  -- Null: the whole deployment.
  site_id uuid,
  -- 'claims': given by the identity provider's claims and taken away by them; 'local': by an administrator.
  source text NOT NULL DEFAULT 'local' CHECK (source IN ('local', 'claims')),
  granted_by uuid REFERENCES person (id),
  granted_at timestamptz NOT NULL,
  CONSTRAINT a_role_is_held_once UNIQUE NULLS NOT DISTINCT (person_id, role, site_id),
  CONSTRAINT only_an_administrator_is_deployment_wide CHECK (site_id IS NOT NULL OR role = 'administrator')
);
CREATE INDEX role_by_site ON role (site_id, role);

-- Server-side sign-ins. token_hash is an HMAC, by a key outside the database, over the cookie's secret and the fields
-- that matter: a row that is inserted here, or moved to another person, opens nothing.
CREATE TABLE sign_in (
  id uuid PRIMARY KEY,
  token_hash bytea NOT NULL,
  person_id uuid NOT NULL REFERENCES person (id),
  method text NOT NULL CHECK (method IN ('passkey', 'oidc')),
  -- 'passkey', or the identity provider's id in the configuration.
  provider text NOT NULL,
  -- The provider's session id (sid), for back-channel logout.
  provider_session text,
  -- The passkey used last, for the audit log.
  credential text,
  revocation_epoch integer NOT NULL,
  created_at timestamptz NOT NULL,
  last_seen_at timestamptz NOT NULL,
  -- The last strong authentication; step-up renews it.
  authenticated_at timestamptz NOT NULL,
  -- Absolute end, whatever happens.
  expires_at timestamptz NOT NULL,
  ended_at timestamptz,
  ended_because text,
  source_address text,
  CONSTRAINT a_token_opens_one_sign_in UNIQUE (token_hash),
  CONSTRAINT an_ended_sign_in_has_a_reason CHECK ((ended_at IS NULL) = (ended_because IS NULL))
);
CREATE INDEX sign_in_by_person ON sign_in (person_id) WHERE ended_at IS NULL;
CREATE INDEX sign_in_by_provider_session ON sign_in (provider, provider_session) WHERE ended_at IS NULL;

CREATE TABLE set_up_link (
  -- An HMAC over person and token by a key outside the database.
  token_hash bytea PRIMARY KEY,
  person_id uuid NOT NULL REFERENCES person (id),
  -- Null: printed at the first start.
  created_by uuid REFERENCES person (id),
  -- True only for the first administrator: the set-up itself confirms the passkey, nobody else is there to do it.
  first_administrator boolean NOT NULL DEFAULT false,
  created_at timestamptz NOT NULL,
  expires_at timestamptz NOT NULL,
  used_at timestamptz
);
CREATE INDEX set_up_link_by_person ON set_up_link (person_id);
CREATE UNIQUE INDEX there_is_one_first_administrator ON set_up_link (first_administrator)
  WHERE first_administrator AND used_at IS NOT NULL;

-- Taken out (DELETE … RETURNING) when it is answered, so an answer counts once.
CREATE TABLE webauthn_challenge (
  id uuid PRIMARY KEY,
  purpose text NOT NULL CHECK (purpose IN ('sign-in', 'set-up', 'add-passkey')),
  challenge text NOT NULL,
  person_id uuid REFERENCES person (id),
  sign_in_id uuid REFERENCES sign_in (id),
  created_at timestamptz NOT NULL,
  expires_at timestamptz NOT NULL
);
CREATE INDEX webauthn_challenge_by_expiry ON webauthn_challenge (expires_at);

-- One row per trip to an identity provider, bound to the browser that began it. Taken out at the callback.
CREATE TABLE oidc_trip (
  state_hash bytea PRIMARY KEY,
  provider text NOT NULL,
  nonce text NOT NULL,
  code_verifier text NOT NULL,
  browser_hash bytea NOT NULL,
  return_to text NOT NULL,
  step_up_sign_in_id uuid REFERENCES sign_in (id),
  created_at timestamptz NOT NULL,
  expires_at timestamptz NOT NULL
);
CREATE INDEX oidc_trip_by_expiry ON oidc_trip (expires_at);

-- Back-channel logout tokens that were used, until they expire: each counts once.
CREATE TABLE used_logout_token (
  provider text NOT NULL,
  jti_hash bytea NOT NULL,
  expires_at timestamptz NOT NULL,
  PRIMARY KEY (provider, jti_hash)
);

-- What was revoked, in order, so that a broker whose LISTEN connection broke can catch up.
CREATE TABLE revocation (
  id bigint GENERATED ALWAYS AS IDENTITY PRIMARY KEY,
  kind text NOT NULL CHECK (kind IN ('person', 'vendor', 'sign-in')),
  subject_id uuid NOT NULL,
  reason text NOT NULL,
  at timestamptz NOT NULL
);
