-- VNC endpoints: how they are protected, as an administrator declared it. It is in the row's form, so the audit log vouches
-- for it; what a probe saw (`seen_vnc_…`) is not, and opens nothing.
ALTER TABLE endpoint
  DROP CONSTRAINT endpoint_protocol_check,
  ADD CONSTRAINT endpoint_protocol_check CHECK (protocol IN ('ssh', 'vnc')),
  ADD COLUMN vnc_security text CHECK (vnc_security IN ('x509', 'anonymous-tls', 'plain')),
  ADD COLUMN vnc_authentication text CHECK (vnc_authentication IN ('password', 'none')),
  ADD COLUMN seen_vnc_security text CHECK (seen_vnc_security IN ('x509', 'anonymous-tls', 'plain')),
  ADD COLUMN seen_vnc_authentication text CHECK (seen_vnc_authentication IN ('password', 'none')),
  ADD COLUMN seen_vnc_at timestamptz,
  ADD CONSTRAINT vnc_has_a_declared_protection CHECK (
    (protocol = 'vnc') = (vnc_security IS NOT NULL) AND (protocol = 'vnc') = (vnc_authentication IS NOT NULL)),
  ADD CONSTRAINT a_seen_protection_is_whole CHECK (
    (seen_vnc_security IS NULL) = (seen_vnc_authentication IS NULL) AND (seen_vnc_security IS NULL) = (seen_vnc_at IS NULL)),
  ADD CONSTRAINT endpoint_and_asset_go_together UNIQUE (id, asset_id);
ALTER TABLE asset ADD CONSTRAINT asset_and_site_go_together UNIQUE (id, site_id);
