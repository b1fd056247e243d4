-- Whose alarm it is: a site's, or (null) the whole deployment's. Decides who sees and acknowledges it.
ALTER TABLE alarm ADD COLUMN site_id uuid;
