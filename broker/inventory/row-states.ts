import type { ObjectState } from '../audit/vouch.ts'
import {
  canonicalPasskey,
  canonicalPerson,
  canonicalRole,
  canonicalVendor,
  type PasskeyRow,
  type RoleRow,
  readPeople,
  readVendors,
} from '../identity/rows.ts'
import type { Query } from '../store/sql.ts'
import { canonicalException, readExceptions } from './exception-rows.ts'
import {
  canonicalAsset,
  canonicalConduit,
  canonicalEndpoint,
  canonicalEndpointIdentity,
  canonicalSite,
  canonicalZone,
  readAssets,
  readConduits,
  readEndpoints,
  readIdentities,
  readSites,
  readZones,
} from './rows.ts'

/** Reads the canonical form of one row of another room's kind; null when there is no such row. */
type Form = (query: Query, id: string) => Promise<unknown>
/** The forms of the rows that are there. */
type Read = (query: Query, ids: string[]) => Promise<{ id: string; form: unknown }[]>

function reader<T extends { id: string }>(
  read: (query: Query, ids: string[]) => Promise<readonly T[]>,
  form: (row: T) => unknown,
): Read {
  return async (query, ids) => (await read(query, ids)).map((row) => ({ id: row.id, form: form(row) }))
}

const READERS: Record<string, Read> = {
  person: reader(readPeople, canonicalPerson),
  vendor: reader(readVendors, canonicalVendor),
  role: reader(
    (query, ids) => query<RoleRow[]>`
      SELECT id, person_id AS "personId", role, site_id AS "siteId", source FROM role WHERE id IN ${query(ids)}`,
    canonicalRole,
  ),
  passkey: reader(
    (query, ids) => query<PasskeyRow[]>`
      SELECT id, person_id AS "personId", credential_id AS "credentialId", public_key AS "publicKey",
        confirmed_by AS "confirmedBy", confirmed_at AS "confirmedAt", invited_by AS "invitedBy"
      FROM passkey WHERE id IN ${query(ids)} AND removed_at IS NULL`,
    canonicalPasskey,
  ),
  site: reader(readSites, canonicalSite),
  zone: reader((query, ids) => readZones(query, 'id', ids), canonicalZone),
  conduit: reader((query, ids) => readConduits(query, 'id', ids), canonicalConduit),
  asset: reader((query, ids) => readAssets(query, 'id', ids), canonicalAsset),
  endpoint: reader((query, ids) => readEndpoints(query, 'id', ids), canonicalEndpoint),
  'endpoint-identity': reader((query, ids) => readIdentities(query, 'id', ids), canonicalEndpointIdentity),
  exception: reader(readExceptions, canonicalException),
}

/**
 * Canonical forms of rows by kind and id, to be given to `audit.verifyObjects`: one query per kind. Kinds of other
 * rooms come in `more` (the gateways'). An unknown kind is a bug and throws.
 */
export async function rowStates(
  query: Query,
  rows: readonly { kind: string; id: string }[],
  more: Record<string, Form> = {},
): Promise<ObjectState[]> {
  const ids = new Map<string, Set<string>>()
  for (const { kind, id } of rows) ids.set(kind, (ids.get(kind) ?? new Set()).add(id))
  const forms = new Map<string, unknown>()
  for (const [kind, wanted] of ids) {
    const read = READERS[kind]
    const other = more[kind]
    if (read) {
      for (const { id, form } of await read(query, [...wanted])) forms.set(`${kind} ${id}`, form)
    } else if (other) {
      for (const id of wanted) forms.set(`${kind} ${id}`, await other(query, id))
    } else {
      throw new Error(`no canonical form for rows of kind ${kind}`)
    }
  }
  return rows.map(({ kind, id }) => ({ kind, id, current: forms.get(`${kind} ${id}`) ?? null }))
}
