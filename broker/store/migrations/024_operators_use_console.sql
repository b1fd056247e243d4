-- Operators use this console: whoever opens a session takes it away from them, so one of them says first that it is free.
ALTER TABLE asset ADD COLUMN operators_use_console boolean NOT NULL DEFAULT false;
