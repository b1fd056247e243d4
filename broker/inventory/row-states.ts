import type { ObjectState } from '../audit/vouch.ts'
import {
  canonicalPasskey,
  canonicalPerson,
  canonicalRole,
  canonicalVendor,
  type PasskeyRow,
  type RoleRow,
  readPerson,
  readVendor,
} from '../identity/rows.ts'
import type { Query } from '../store/sql.ts'
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

type Form = (query: Query, id: string) => Promise<unknown>

/** Reads the canonical form of one row of a kind; null when there is no such row (any more). */
const FORMS: Record<string, Form> = {
  person: async (query, id) => map(await readPerson(query, id), canonicalPerson),
  vendor: async (query, id) => map(await readVendor(query, id), canonicalVendor),
  role: async (query, id) => {
    const [row] = await query<RoleRow[]>`
      SELECT id, person_id AS "personId", role, site_id AS "siteId", source FROM role WHERE id = ${id}`
    return map(row, canonicalRole)
  },
  passkey: async (query, id) => {
    const [row] = await query<PasskeyRow[]>`
      SELECT id, person_id AS "personId", credential_id AS "credentialId", public_key AS "publicKey",
        confirmed_by AS "confirmedBy", confirmed_at AS "confirmedAt"
      FROM passkey WHERE id = ${id} AND removed_at IS NULL`
    return map(row, canonicalPasskey)
  },
  site: async (query, id) => map((await readSites(query, [id]))[0], canonicalSite),
  zone: async (query, id) => map((await readZones(query, 'id', [id]))[0], canonicalZone),
  conduit: async (query, id) => map((await readConduits(query, 'id', [id]))[0], canonicalConduit),
  asset: async (query, id) => map((await readAssets(query, 'id', [id]))[0], canonicalAsset),
  endpoint: async (query, id) => map((await readEndpoints(query, 'id', [id]))[0], canonicalEndpoint),
  'endpoint-identity': async (query, id) =>
    map((await readIdentities(query, 'id', [id]))[0], canonicalEndpointIdentity),
}

/**
 * Canonical forms of rows by kind and id, to be given to `audit.verifyObjects`. Kinds of other rooms come in `more`
 * (the gateways'). An unknown kind is a bug and throws.
 */
export async function rowStates(
  query: Query,
  rows: readonly { kind: string; id: string }[],
  more: Record<string, Form> = {},
): Promise<ObjectState[]> {
  const states: ObjectState[] = []
  for (const { kind, id } of rows) {
    const form = FORMS[kind] ?? more[kind]
    if (!form) throw new Error(`no canonical form for rows of kind ${kind}`)
    states.push({ kind, id, current: await form(query, id) })
  }
  return states
}

function map<T>(row: T | null | undefined, form: (row: T) => unknown): unknown {
  return row === null || row === undefined ? null : form(row)
}
