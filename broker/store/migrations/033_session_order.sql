-- What operators ordered (broker/audit/orders.ts), found by whom it concerns and where: what an operator said stands in
-- the log, so that neither a gateway's word nor an edited row takes it back.
CREATE INDEX entry_order ON audit.entry (
  audit.field(bytes, 'details', 'person'), audit.field(bytes, 'details', 'endpoint'), staged DESC
) WHERE action IN ('session.stop', 'session.hold', 'session.release');
-- Whether a session's last hold was released.
CREATE INDEX entry_hold ON audit.entry (session, staged DESC) WHERE action IN ('session.hold', 'session.release');
