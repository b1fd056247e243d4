-- An operator's word that a console is free: asked for by the vendor, given by an operator, used by one session. A row counts
-- only as the audit log vouches for it; who asked, and for what, is never changed.
CREATE TABLE console_ready (
  id uuid PRIMARY KEY,
  request_id uuid NOT NULL REFERENCES access_request (id),
  request_version integer NOT NULL,
  asked_by uuid NOT NULL REFERENCES person (id),
  asked_at timestamptz NOT NULL,
  given_by uuid REFERENCES person (id),
  given_at timestamptz,
  expires_at timestamptz,
  ended_at timestamptz,
  ended_by uuid REFERENCES person (id),
  ended_because text CHECK (ended_because IN ('used', 'taken-back', 'asked-again')),
  session_id uuid UNIQUE REFERENCES session (id),
  CONSTRAINT a_word_has_a_person_a_time_and_an_end CHECK (
    (given_at IS NULL) = (given_by IS NULL) AND (given_at IS NULL) = (expires_at IS NULL)),
  CONSTRAINT a_word_is_short CHECK (expires_at > given_at AND expires_at <= given_at + interval '15 minutes'),
  CONSTRAINT an_end_has_a_person_a_time_and_a_reason CHECK (
    (ended_at IS NULL) = (ended_by IS NULL) AND (ended_at IS NULL) = (ended_because IS NULL)),
  CONSTRAINT a_used_word_names_its_session CHECK ((session_id IS NOT NULL) = (ended_because IS NOT DISTINCT FROM 'used')),
  CONSTRAINT only_a_given_word_is_used CHECK (session_id IS NULL OR given_at IS NOT NULL)
);
CREATE UNIQUE INDEX one_word_stands_for_each_request ON console_ready (request_id) WHERE ended_at IS NULL;
CREATE INDEX console_ready_by_request ON console_ready (request_id);
REVOKE UPDATE, DELETE ON console_ready FROM sallyport_app;
GRANT UPDATE (given_by, given_at, expires_at, ended_at, ended_by, ended_because, session_id) ON console_ready
  TO sallyport_app;
