-- The exception register: what an endpoint lacks, why that is accepted, what stands against it, who answers for it, until
-- when. A row counts only as the audit log vouches for it; nothing but its closing is ever changed.
CREATE TABLE access_exception (
  id uuid PRIMARY KEY,
  site_id uuid NOT NULL,
  asset_id uuid NOT NULL,
  endpoint_id uuid NOT NULL,
  kind text NOT NULL CHECK (kind IN ('no-encryption', 'no-server-identity', 'no-authentication')),
  reason text NOT NULL CHECK (reason <> ''),
  compensating_control text NOT NULL CHECK (compensating_control <> ''),
  owner_id uuid NOT NULL REFERENCES person (id),
  expires_at timestamptz NOT NULL,
  opened_by uuid NOT NULL REFERENCES person (id),
  opened_at timestamptz NOT NULL,
  closed_at timestamptz,
  closed_by uuid REFERENCES person (id),
  closed_because text,
  CONSTRAINT an_exception_ends_after_it_begins CHECK (expires_at > opened_at),
  CONSTRAINT a_closing_has_a_person_a_time_and_a_reason CHECK (
    (closed_at IS NULL) = (closed_by IS NULL) AND (closed_at IS NULL) = (closed_because IS NULL)),
  CONSTRAINT an_exception_is_about_an_endpoint_of_its_asset
    FOREIGN KEY (endpoint_id, asset_id) REFERENCES endpoint (id, asset_id),
  CONSTRAINT an_exception_is_about_an_asset_of_its_site FOREIGN KEY (asset_id, site_id) REFERENCES asset (id, site_id)
);
-- One that stands for each deviation: a new one takes the place of the former.
CREATE UNIQUE INDEX one_exception_stands ON access_exception (endpoint_id, kind) WHERE closed_at IS NULL;
CREATE INDEX exception_by_site ON access_exception (site_id, expires_at, id);
REVOKE UPDATE, DELETE ON access_exception FROM sallyport_app;
GRANT UPDATE (closed_at, closed_by, closed_because) ON access_exception TO sallyport_app;
