import type { AuditActor } from '../contract/audit-entry.ts'
import { Failure } from '../domain/failure.ts'
import { newId } from '../domain/ids.ts'
import { holds, type Principal } from '../domain/principal.ts'
import type { Role } from '../domain/words.ts'
import type { Query } from '../store/sql.ts'
import { canonicalRole, type PersonRow, type RoleRow, readRoles } from './rows.ts'
import type { Vouching } from './vouched.ts'

export interface WantedRole {
  role: Role
  siteId: string | null
}

/** Who changes roles, as the audit log should say it. */
export interface By {
  actor: AuditActor
  source?: string | null
}

/** Throws Failure when these roles can't be held together by somebody of this organisation. */
export function checkRoles(vendorId: string | null, roles: readonly WantedRole[]): void {
  roles.forEach((wanted, index) => {
    if (wanted.siteId === null && wanted.role !== 'administrator') {
      throw wrong(index, `The role ${wanted.role} is held at a site.`)
    }
    if ((wanted.role === 'vendor') !== (vendorId !== null)) {
      throw wrong(
        index,
        vendorId === null
          ? 'Only people of a vendor can be vendor engineers.'
          : "A vendor's engineer can't act for the plant.",
      )
    }
    if (roles.findIndex((other) => other.role === wanted.role && other.siteId === wanted.siteId) !== index) {
      throw wrong(index, 'This role stands here twice.')
    }
  })
}

function wrong(index: number, message: string): Failure {
  return new Failure(400, 'roles-not-possible', `Role ${index + 1}: ${message}`, 'Correct the roles.')
}

/** Throws Failure unless `principal` may give and take these roles: an administrator of each site, or of all. */
export function checkMayGrant(principal: Principal, roles: readonly WantedRole[]): void {
  for (const { siteId } of roles) {
    if (!holds(principal, siteId, 'administrator')) {
      throw new Failure(
        403,
        'not-your-site',
        'You can give and take roles at your own sites only.',
        'Ask an administrator of that site, or of the whole deployment.',
      )
    }
  }
}

/**
 * Makes the person's roles of one source exactly these. Each one given or taken is an entry with the row's form.
 * Returns the ones given and taken.
 */
export async function setRoles(
  audit: Vouching,
  query: Query,
  person: PersonRow,
  wanted: readonly WantedRole[],
  how: { source: RoleRow['source']; grantedBy: string | null; by: By; reason: string | null; nowMs: number },
): Promise<{ given: WantedRole[]; taken: WantedRole[] }> {
  const held = await readRoles(query, [person.id])
  const same = (a: WantedRole, b: WantedRole) => a.role === b.role && a.siteId === b.siteId
  const taken = held.filter((row) => row.source === how.source && !wanted.some((want) => same(want, row)))
  const given = wanted.filter((want) => !held.some((row) => same(want, row)))
  for (const row of taken) {
    await query`DELETE FROM role WHERE id = ${row.id}`
    await audit.record(query, {
      ...how.by,
      action: 'role.taken',
      object: { kind: 'role', id: row.id },
      reason: how.reason,
      before: canonicalRole(row),
      after: null,
      details: { person: person.id, role: row.role, site: row.siteId },
    })
  }
  for (const want of given) {
    const row: RoleRow = { id: newId(how.nowMs), personId: person.id, source: how.source, ...want }
    await query`
      INSERT INTO role (id, person_id, role, site_id, source, granted_by, granted_at)
      VALUES (${row.id}, ${row.personId}, ${row.role}, ${row.siteId}, ${row.source}, ${how.grantedBy},
        ${new Date(how.nowMs)})`
    await audit.record(query, {
      ...how.by,
      action: 'role.given',
      object: { kind: 'role', id: row.id },
      reason: how.reason,
      after: canonicalRole(row),
      details: { person: person.id, role: row.role, site: row.siteId },
    })
  }
  return { given: [...given], taken }
}
