-- The sign-in that opened the session: it alone comes back to it without a fresh authentication. Null for sessions
-- opened before this was kept.
ALTER TABLE session ADD COLUMN sign_in_id uuid;
