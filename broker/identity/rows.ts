import type { Role } from '../domain/words.ts'
import type { Query } from '../store/sql.ts'

/**
 * Rows of identity and the canonical forms under which the audit log vouches for them. `record` gets the form as
 * `after` on every change, and whatever a row opens is asked of `verifyObject` with the same form first. Fields that
 * open nothing (labels, counters, last use) are left out, so that using a passkey is no change of it.
 */
export interface PersonRow {
  id: string
  issuer: string
  subject: string
  name: string
  email: string | null
  vendorId: string | null
  enabled: boolean
  accountEndsAt: Date | null
  trainingValidUntil: Date | null
  lastSignInAt: Date | null
  revocationEpoch: number
}

export interface RoleRow {
  id: string
  personId: string
  role: Role
  siteId: string | null
  source: 'local' | 'claims'
}

export interface PasskeyRow {
  id: string
  personId: string
  credentialId: string
  publicKey: Buffer
  counter: number
  transports: string[]
  backupEligible: boolean
  backedUp: boolean
  label: string
  createdAt: Date
  lastUsedAt: Date | null
  confirmedBy: string | null
  confirmedAt: Date | null
  /** Whose set-up link brought it in; null for the first administrator's and for what a confirmed passkey added. */
  invitedBy: string | null
}

export interface VendorRow {
  id: string
  name: string
  enabled: boolean
  contractEndsAt: Date
  sponsorId: string
  tier: '1' | '2' | '3'
}

export const LOCAL_ISSUER = 'local'

/** Object kind `person`. */
export function canonicalPerson(row: PersonRow) {
  return {
    v: 1,
    id: row.id,
    issuer: row.issuer,
    subject: row.subject,
    name: row.name,
    // Tells that two accounts are one person, who must not approve twice (threat 7).
    email: row.email,
    vendorId: row.vendorId,
    enabled: row.enabled,
    accountEndsAt: iso(row.accountEndsAt),
    trainingValidUntil: iso(row.trainingValidUntil),
  }
}

/** Object kind `role`. */
export function canonicalRole(row: RoleRow) {
  return { v: 1, id: row.id, personId: row.personId, role: row.role, siteId: row.siteId }
}

/** Object kind `passkey`. A removed passkey has no form: its last entry has `after` null. */
export function canonicalPasskey(row: PasskeyRow) {
  return {
    v: 1,
    id: row.id,
    personId: row.personId,
    credentialId: row.credentialId,
    publicKey: row.publicKey.toString('base64url'),
    confirmedBy: row.confirmedBy,
    confirmedAt: iso(row.confirmedAt),
    // Left out when there is none: so were the forms recorded before it existed.
    ...(row.invitedBy === null ? {} : { invitedBy: row.invitedBy }),
  }
}

/** Object kind `vendor`. */
export function canonicalVendor(row: VendorRow) {
  return {
    v: 1,
    id: row.id,
    name: row.name,
    enabled: row.enabled,
    contractEndsAt: row.contractEndsAt.toISOString(),
    sponsorId: row.sponsorId,
    tier: row.tier,
  }
}

export function iso(date: Date | null): string | null {
  return date === null ? null : date.toISOString()
}

const person = (query: Query) => query`
  p.id, p.issuer, p.subject, p.name, p.email, p.vendor_id AS "vendorId", p.enabled,
  p.account_ends_at AS "accountEndsAt", p.training_valid_until AS "trainingValidUntil",
  p.last_sign_in_at AS "lastSignInAt", p.revocation_epoch AS "revocationEpoch"`

/** `lock`: the row stays as it is until the transaction ends. */
export async function readPerson(query: Query, id: string, lock = false): Promise<PersonRow | null> {
  const [row] = await query<PersonRow[]>`
    SELECT ${person(query)} FROM person p WHERE p.id = ${id} ${lock ? query`FOR UPDATE` : query``}`
  return row ?? null
}

export async function readPeople(query: Query, ids: readonly string[]): Promise<PersonRow[]> {
  if (ids.length === 0) return []
  return query<PersonRow[]>`SELECT ${person(query)} FROM person p WHERE p.id IN ${query(ids as string[])}`
}

export async function readPersonByAccount(
  query: Query,
  issuer: string,
  subject: string,
): Promise<PersonRow | null> {
  const [row] = await query<PersonRow[]>`
    SELECT ${person(query)} FROM person p WHERE p.issuer = ${issuer} AND p.subject = ${subject}`
  return row ?? null
}

export interface PeopleFilter {
  /** Null: all sites. */
  siteIds: readonly string[] | null
  vendorId?: string | undefined
  search?: string | undefined
  afterId?: string | undefined
  limit: number
}

/** By id (which is by time of creation). With `siteIds`, only people who hold a role at one of them. */
export async function listPeople(query: Query, filter: PeopleFilter): Promise<PersonRow[]> {
  if (filter.siteIds && filter.siteIds.length === 0) return []
  const pattern = filter.search ? `%${filter.search.replace(/[\\%_]/g, '\\$&')}%` : null
  return query<PersonRow[]>`
    SELECT ${person(query)} FROM person p
    WHERE true
      ${filter.vendorId ? query`AND p.vendor_id = ${filter.vendorId}` : query``}
      ${pattern ? query`AND (p.name ILIKE ${pattern} OR p.email ILIKE ${pattern})` : query``}
      ${filter.afterId ? query`AND p.id > ${filter.afterId}` : query``}
      ${
        filter.siteIds
          ? query`AND EXISTS (SELECT FROM role r WHERE r.person_id = p.id AND r.site_id IN ${query(filter.siteIds as string[])})`
          : query``
      }
    ORDER BY p.id LIMIT ${filter.limit}`
}

export async function readRoles(query: Query, personIds: readonly string[]): Promise<RoleRow[]> {
  if (personIds.length === 0) return []
  return query<RoleRow[]>`
    SELECT id, person_id AS "personId", role, site_id AS "siteId", source FROM role
    WHERE person_id IN ${query(personIds as string[])} ORDER BY id`
}

const passkey = (query: Query) => query`
  id, person_id AS "personId", credential_id AS "credentialId", public_key AS "publicKey", counter, transports,
  backup_eligible AS "backupEligible", backed_up AS "backedUp", label, created_at AS "createdAt",
  last_used_at AS "lastUsedAt", confirmed_by AS "confirmedBy", confirmed_at AS "confirmedAt",
  invited_by AS "invitedBy"`

/** Those that have not been removed. */
export async function readPasskeys(query: Query, personIds: readonly string[]): Promise<PasskeyRow[]> {
  if (personIds.length === 0) return []
  return query<PasskeyRow[]>`
    SELECT ${passkey(query)} FROM passkey
    WHERE person_id IN ${query(personIds as string[])} AND removed_at IS NULL ORDER BY id`
}

export async function readPasskeyByCredential(
  query: Query,
  credentialId: string,
): Promise<PasskeyRow | null> {
  const [row] = await query<PasskeyRow[]>`
    SELECT ${passkey(query)} FROM passkey WHERE credential_id = ${credentialId} AND removed_at IS NULL`
  return row ?? null
}

/** The passkey that somebody signed in or stepped up with last, removed or not; null for a provider's people. */
export async function passkeyOfSignIn(query: Query, signInId: string): Promise<PasskeyRow | null> {
  const [row] = await query<PasskeyRow[]>`
    SELECT ${passkey(query)} FROM passkey WHERE credential_id =
      (SELECT credential FROM sign_in WHERE id = ${signInId} AND method = 'passkey')`
  return row ?? null
}

export async function readVendor(query: Query, id: string, lock = false): Promise<VendorRow | null> {
  const [row] = await query<VendorRow[]>`
    SELECT id, name, enabled, contract_ends_at AS "contractEndsAt", sponsor_id AS "sponsorId", tier
    FROM vendor WHERE id = ${id} ${lock ? query`FOR UPDATE` : query``}`
  return row ?? null
}

export async function readVendors(query: Query, ids: readonly string[]): Promise<VendorRow[]> {
  if (ids.length === 0) return []
  return query<VendorRow[]>`
    SELECT id, name, enabled, contract_ends_at AS "contractEndsAt", sponsor_id AS "sponsorId", tier
    FROM vendor WHERE id IN ${query(ids as string[])}`
}

export async function listVendors(
  query: Query,
): Promise<(VendorRow & { sponsor: string; people: number })[]> {
  return query<(VendorRow & { sponsor: string; people: number })[]>`
    SELECT v.id, v.name, v.enabled, v.contract_ends_at AS "contractEndsAt", v.sponsor_id AS "sponsorId", v.tier,
      s.name AS sponsor, (SELECT count(*)::int FROM person p WHERE p.vendor_id = v.id) AS people
    FROM vendor v JOIN person s ON s.id = v.sponsor_id ORDER BY v.name`
}
