import type { AccountName } from '../broker/domain/access-facts.ts'
import type { Role } from '../broker/domain/words.ts'
import type { Query } from '../broker/store/sql.ts'
import type { RowName } from './ground.ts'

/** A person as decisions see them, with the roles held at one site. */
export interface SitePerson {
  id: string
  issuer: string
  subject: string
  name: string
  /** Every name under which this human being may appear; see `accountsOf`. */
  accounts: AccountName[]
  vendorId: string | null
  enabled: boolean
  accountEndsAt: Date | null
  trainingValidUntil: Date | null
  roles: Role[]
  rows: RowName[]
}

interface PersonRow {
  id: string
  issuer: string
  subject: string
  name: string
  email: string | null
  vendor_id: string | null
  enabled: boolean
  account_ends_at: Date | null
  training_valid_until: Date | null
}

/** People by id; those that do not exist are not in the map. */
export async function readPeople(
  query: Query,
  siteId: string,
  ids: readonly string[],
): Promise<Map<string, SitePerson>> {
  const people = new Map<string, SitePerson>()
  if (ids.length === 0) return people
  const rows = await query<PersonRow[]>`
    SELECT id, issuer, subject, name, email, vendor_id, enabled, account_ends_at, training_valid_until
    FROM person WHERE id = ANY(${[...ids]}::uuid[])`
  const roles = await query<{ id: string; person_id: string; role: Role }[]>`
    SELECT id, person_id, role FROM role WHERE person_id = ANY(${[...ids]}::uuid[]) AND site_id = ${siteId}`
  for (const row of rows) {
    const held = roles.filter((role) => role.person_id === row.id)
    people.set(row.id, {
      id: row.id,
      issuer: row.issuer,
      subject: row.subject,
      name: row.name,
      accounts: accountsOf(row),
      vendorId: row.vendor_id,
      enabled: row.enabled,
      accountEndsAt: row.account_ends_at,
      trainingValidUntil: row.training_valid_until,
      roles: held.map((role) => role.role),
      rows: [{ kind: 'person', id: row.id }, ...held.map((role) => ({ kind: 'role', id: role.id }))],
    })
  }
  return people
}

/**
 * The account itself, and the mail address as an account of its own: somebody with an account of the identity
 * provider and a local one is still one person, who neither approves their own request nor counts twice (threat 7).
 */
export function accountsOf(row: { issuer: string; subject: string; email: string | null }): AccountName[] {
  const mail = row.email?.trim().toLowerCase()
  return [
    { issuer: row.issuer, subject: row.subject },
    ...(mail ? [{ issuer: 'mailto', subject: mail }] : []),
  ]
}

export interface VendorRow {
  id: string
  name: string
  enabled: boolean
  contractEndsAt: Date
  sponsor: { id: string; name: string; enabled: boolean; accountEndsAt: Date | null }
}

export async function readVendor(query: Query, vendorId: string): Promise<VendorRow | null> {
  const [row] = await query<
    {
      id: string
      name: string
      enabled: boolean
      contract_ends_at: Date
      sponsor_id: string
      sponsor_name: string
      sponsor_enabled: boolean
      sponsor_ends_at: Date | null
    }[]
  >`
    SELECT v.id, v.name, v.enabled, v.contract_ends_at, p.id AS sponsor_id, p.name AS sponsor_name,
      p.enabled AS sponsor_enabled, p.account_ends_at AS sponsor_ends_at
    FROM vendor v JOIN person p ON p.id = v.sponsor_id WHERE v.id = ${vendorId}`
  return row
    ? {
        id: row.id,
        name: row.name,
        enabled: row.enabled,
        contractEndsAt: row.contract_ends_at,
        sponsor: {
          id: row.sponsor_id,
          name: row.sponsor_name,
          enabled: row.sponsor_enabled,
          accountEndsAt: row.sponsor_ends_at,
        },
      }
    : null
}
