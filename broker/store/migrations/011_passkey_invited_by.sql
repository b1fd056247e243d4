-- The administrator whose set-up link brought this passkey in, directly or through a passkey that was not confirmed
-- then: they don't confirm it. Part of the row's form in the audit log when it is set.
ALTER TABLE passkey ADD COLUMN invited_by uuid REFERENCES person (id);
