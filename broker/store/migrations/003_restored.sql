-- Restores of a backup into this database (broker/backup/restore-guard.ts). Whether one was confirmed stands in the log:
-- neither this row taken out nor one edited opens a session.
CREATE TABLE restored (
  id uuid PRIMARY KEY,
  restored_at timestamptz NOT NULL,
  backup_at timestamptz NOT NULL
);
CREATE INDEX entry_restore ON audit.entry (staged) WHERE action = 'restore.confirmed';
