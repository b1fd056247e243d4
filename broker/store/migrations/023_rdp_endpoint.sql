-- RDP endpoints: how they sign in, as an administrator declared it. It is in the row's form, so the audit log vouches for it;
-- what a probe saw (`seen_rdp_…`) is not, and opens nothing.
ALTER TABLE endpoint
  DROP CONSTRAINT endpoint_protocol_check,
  ADD CONSTRAINT endpoint_protocol_check CHECK (protocol IN ('ssh', 'vnc', 'rdp')),
  ADD COLUMN rdp_security text CHECK (rdp_security IN ('nla', 'tls')),
  ADD COLUMN seen_rdp_security text CHECK (seen_rdp_security IN ('nla', 'tls')),
  ADD COLUMN seen_rdp_at timestamptz,
  ADD CONSTRAINT rdp_has_a_declared_protection CHECK ((protocol = 'rdp') = (rdp_security IS NOT NULL)),
  ADD CONSTRAINT a_seen_rdp_protection_is_whole CHECK ((seen_rdp_security IS NULL) = (seen_rdp_at IS NULL));
