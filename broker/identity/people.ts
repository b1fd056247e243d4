import type { Answer, Body } from '../contract/api/index.ts'
import type { Context } from '../contract/handler.ts'
import type { Clock } from '../domain/clock.ts'
import { conflict, Failure, forbidden, notFound } from '../domain/failure.ts'
import { newId } from '../domain/ids.ts'
import { holds, type Principal, sitesOf } from '../domain/principal.ts'
import type { Database, Query } from '../store/sql.ts'
import { by } from './actor.ts'
import { revoke } from './revocations.ts'
import { checkMayGrant, checkRoles, setRoles } from './roles.ts'
import {
  canonicalPasskey,
  canonicalPerson,
  canonicalRole,
  canonicalVendor,
  iso,
  LOCAL_ISSUER,
  listPeople,
  listVendors,
  type PasskeyRow,
  type PersonRow,
  passkeyOfSignIn,
  type RoleRow,
  readPasskeys,
  readPerson,
  readRoles,
  readVendor,
  type VendorRow,
} from './rows.ts'
import type { SetUpLinks } from './set-up-links.ts'
import { isVouched, keepVouched, type Vouching } from './vouched.ts'

type PersonView = Answer<'PATCH /api/people/:id'>
type VendorView = Answer<'PATCH /api/vendors/:id'>
/** What every change needs to know: who, from where. */
type Caller = Pick<Context<'PATCH /api/people/:id'>, 'principal' | 'sourceAddress'>

const PAGE = 100

/** People and vendors, as administrators keep them. */
export class People {
  readonly #db: Database
  readonly #audit: Vouching
  readonly #links: SetUpLinks
  readonly #clock: Clock

  constructor(db: Database, audit: Vouching, links: SetUpLinks, clock: Clock) {
    this.#db = db
    this.#audit = audit
    this.#links = links
    this.#clock = clock
  }

  /** An administrator of a site sees the people with a role there; one of the deployment sees all. */
  async list(
    principal: Principal,
    filter: { vendorId?: string | undefined; search?: string | undefined; cursor?: string | undefined },
  ): Promise<Answer<'GET /api/people'>> {
    const sites = sitesOf(principal, 'administrator')
    const rows = await listPeople(this.#db.sql, {
      siteIds: sites === 'all' ? null : sites,
      vendorId: filter.vendorId,
      search: filter.search,
      afterId: filter.cursor === undefined ? undefined : cursorId(filter.cursor),
      limit: PAGE + 1,
    })
    const shown = rows.slice(0, PAGE)
    return {
      items: await this.#views(this.#db.sql, shown),
      next: rows.length > PAGE ? (shown.at(-1)?.id ?? null) : null,
    }
  }

  async add(caller: Caller, body: Body<'POST /api/people'>): Promise<Answer<'POST /api/people'>> {
    checkRoles(body.vendorId, body.roles)
    checkMayGrant(caller.principal, body.roles)
    if (body.roles.length === 0 && sitesOf(caller.principal, 'administrator') !== 'all') {
      throw new Failure(400, 'roles-missing', 'Give at least one role at your site.', 'Add a role.')
    }
    return this.#db.tx(async (tx) => {
      await this.#checkOwnPasskey(tx, caller.principal)
      if (body.vendorId !== null && !(await readVendor(tx, body.vendorId))) throw notFound('vendor')
      await checkSites(tx, body.roles)
      const person = await this.insert(tx, {
        name: body.name,
        email: body.email,
        vendorId: body.vendorId,
        accountEndsAt: date(body.accountEndsAt),
        trainingValidUntil: date(body.trainingValidUntil),
        by: by(caller),
      })
      await setRoles(this.#audit, tx, person, body.roles, {
        source: 'local',
        grantedBy: caller.principal.personId,
        by: by(caller),
        reason: null,
        nowMs: this.#clock.wall(),
      })
      const { url } = await this.#links.make(tx, person, caller)
      return { person: await this.#view(tx, person), setUpLink: url }
    })
  }

  /** A local person, without roles. Also for the first administrator and the demo. */
  async insert(
    tx: Query,
    made: Pick<PersonRow, 'name' | 'email' | 'vendorId' | 'accountEndsAt' | 'trainingValidUntil'> & {
      by: Parameters<typeof setRoles>[4]['by']
      account?: { issuer: string; subject: string }
    },
  ): Promise<PersonRow> {
    const now = this.#clock.wall()
    const id = newId(now)
    const row: PersonRow = {
      id,
      issuer: made.account?.issuer ?? LOCAL_ISSUER,
      subject: made.account?.subject ?? id,
      name: made.name,
      email: made.email,
      vendorId: made.vendorId,
      enabled: true,
      accountEndsAt: made.accountEndsAt,
      trainingValidUntil: made.trainingValidUntil,
      lastSignInAt: null,
      revocationEpoch: 0,
    }
    await tx`
      INSERT INTO person (id, issuer, subject, name, email, vendor_id, enabled, account_ends_at,
        training_valid_until, created_at)
      VALUES (${row.id}, ${row.issuer}, ${row.subject}, ${row.name}, ${row.email}, ${row.vendorId}, true,
        ${row.accountEndsAt}, ${row.trainingValidUntil}, ${new Date(now)})`
    await this.#audit.record(tx, {
      ...made.by,
      action: 'person.added',
      object: { kind: 'person', id: row.id },
      after: canonicalPerson(row),
      details: { name: row.name, vendor: row.vendorId },
    })
    return row
  }

  async change(caller: Caller, id: string, body: Body<'PATCH /api/people/:id'>): Promise<PersonView> {
    const { principal } = caller
    return this.#db.tx(async (tx) => {
      const { person, roles } = await this.#mine(tx, principal, id)
      await this.#audit.verifyObject(tx, 'person', person.id, canonicalPerson(person))
      if (principal.personId === id && (body.enabled === false || body.roles !== undefined)) {
        throw conflict(
          'not-yourself',
          'Nobody changes their own roles or disables themselves.',
          'Ask another administrator.',
        )
      }
      const after: PersonRow = {
        ...person,
        name: body.name ?? person.name,
        enabled: body.enabled ?? person.enabled,
        accountEndsAt: body.accountEndsAt === undefined ? person.accountEndsAt : date(body.accountEndsAt),
        trainingValidUntil:
          body.trainingValidUntil === undefined ? person.trainingValidUntil : date(body.trainingValidUntil),
      }
      const touches = JSON.stringify(canonicalPerson(after)) !== JSON.stringify(canonicalPerson(person))
      // What belongs to the whole person is for somebody who administers every site the person works at.
      if (touches) checkMayGrant(principal, roles)
      const disabled = person.enabled && !after.enabled
      if (touches) {
        await tx`
          UPDATE person SET name = ${after.name}, enabled = ${after.enabled}, account_ends_at = ${after.accountEndsAt},
            training_valid_until = ${after.trainingValidUntil},
            revocation_epoch = revocation_epoch + ${disabled ? 1 : 0}
          WHERE id = ${id}`
        await this.#audit.record(tx, {
          ...by(caller),
          action: disabled ? 'person.disabled' : 'person.changed',
          object: { kind: 'person', id },
          reason: body.reason,
          before: canonicalPerson(person),
          after: canonicalPerson(after),
        })
        const reason = disabled ? 'person-disabled' : 'account-changed'
        await revoke(tx, { kind: 'person', id, reason }, this.#clock.wall())
      }
      if (body.roles !== undefined) await this.#changeRoles(tx, caller, after, roles, body.roles, body.reason)
      return this.#view(tx, after)
    })
  }

  async newLink(caller: Caller, id: string, reason: string): Promise<{ setUpLink: string }> {
    return this.#db.tx(async (tx) => {
      const { person, roles } = await this.#mine(tx, caller.principal, id)
      checkMayGrant(caller.principal, roles)
      await this.#checkOwnPasskey(tx, caller.principal)
      if (person.issuer !== LOCAL_ISSUER) {
        throw conflict(
          'not-local',
          'This person signs in at an identity provider.',
          'Let the provider’s administrators help.',
        )
      }
      if (!person.enabled) throw conflict('person-disabled', 'This person is disabled.', 'Enable them first.')
      const { url } = await this.#links.make(tx, person, caller, reason)
      return { setUpLink: url }
    })
  }

  /** Somebody else says: this passkey is really theirs. From then on it signs approvals. */
  async confirmPasskey(caller: Caller, id: string, passkeyId: string): Promise<PersonView> {
    const { principal } = caller
    return this.#db.tx(async (tx) => {
      const { person, roles } = await this.#mine(tx, principal, id)
      // It signs at every site of theirs, so it is for somebody who administers all of them.
      checkMayGrant(principal, roles)
      if (principal.personId === id) {
        throw conflict('not-yourself', 'Nobody confirms their own passkey.', 'Ask another administrator.')
      }
      const passkey = (await readPasskeys(tx, [id])).find((candidate) => candidate.id === passkeyId)
      if (!passkey) throw notFound('passkey')
      if (passkey.confirmedAt !== null) {
        throw conflict('confirmed-already', 'This passkey has been confirmed.', 'Nothing is left to do.')
      }
      await this.#audit.verifyObject(tx, 'passkey', passkey.id, canonicalPasskey(passkey))
      await this.#checkOwnPasskey(tx, principal)
      // Else one person makes the link, registers the passkey on it and confirms it, and is any approver they like.
      const alone = passkey.invitedBy === principal.personId
      if (alone && (await this.#others(tx, principal, id, roles))) {
        throw conflict(
          'invited-by-you',
          'This passkey was registered with a set-up link that you made.',
          'Let another administrator confirm it.',
        )
      }
      const after: PasskeyRow = {
        ...passkey,
        confirmedBy: principal.personId,
        confirmedAt: new Date(this.#clock.wall()),
      }
      await tx`UPDATE passkey SET confirmed_by = ${after.confirmedBy}, confirmed_at = ${after.confirmedAt}
        WHERE id = ${passkey.id}`
      await this.#audit.record(tx, {
        ...by(caller),
        action: 'passkey.confirmed',
        object: { kind: 'passkey', id: passkey.id },
        before: canonicalPasskey(passkey),
        after: canonicalPasskey(after),
        details: { person: id, credential: passkey.credentialId, ...(alone ? { alone } : {}) },
      })
      return this.#view(tx, person)
    }, 'repeatable read')
  }

  /** Staff see all vendors; which of them works at their site is no secret to them. */
  async vendors(): Promise<VendorView[]> {
    return (await listVendors(this.#db.sql)).map(vendorView)
  }

  async addVendor(caller: Caller, body: Body<'POST /api/vendors'>): Promise<VendorView> {
    this.#deploymentWide(caller.principal)
    return this.#db.tx(async (tx) => {
      await this.#checkSponsor(tx, body.sponsorId)
      const now = this.#clock.wall()
      const row: VendorRow = {
        id: newId(now),
        name: body.name,
        enabled: true,
        contractEndsAt: new Date(body.contractEndsAt),
        sponsorId: body.sponsorId,
        tier: body.tier,
      }
      const [twin] = await tx`SELECT id FROM vendor WHERE name = ${row.name}`
      if (twin) throw conflict('name-taken', `There is a vendor named ${row.name}.`, 'Choose another name.')
      await tx`
        INSERT INTO vendor (id, name, enabled, contract_ends_at, sponsor_id, tier, created_at)
        VALUES (${row.id}, ${row.name}, true, ${row.contractEndsAt}, ${row.sponsorId}, ${row.tier}, ${new Date(now)})`
      await this.#audit.record(tx, {
        ...by(caller),
        action: 'vendor.added',
        object: { kind: 'vendor', id: row.id },
        after: canonicalVendor(row),
        details: { name: row.name },
      })
      return this.#vendorView(tx, row.id)
    })
  }

  async changeVendor(caller: Caller, id: string, body: Body<'PATCH /api/vendors/:id'>): Promise<VendorView> {
    this.#deploymentWide(caller.principal)
    return this.#db.tx(async (tx) => {
      const vendor = await readVendor(tx, id, true)
      if (!vendor) throw notFound('vendor')
      await this.#audit.verifyObject(tx, 'vendor', id, canonicalVendor(vendor))
      if (body.sponsorId !== undefined) await this.#checkSponsor(tx, body.sponsorId)
      const after: VendorRow = {
        ...vendor,
        enabled: body.enabled ?? vendor.enabled,
        contractEndsAt:
          body.contractEndsAt === undefined ? vendor.contractEndsAt : new Date(body.contractEndsAt),
        sponsorId: body.sponsorId ?? vendor.sponsorId,
        tier: body.tier ?? vendor.tier,
      }
      const disabled = vendor.enabled && !after.enabled
      await tx`UPDATE vendor SET enabled = ${after.enabled}, contract_ends_at = ${after.contractEndsAt},
        sponsor_id = ${after.sponsorId}, tier = ${after.tier} WHERE id = ${id}`
      if (disabled)
        await tx`UPDATE person SET revocation_epoch = revocation_epoch + 1 WHERE vendor_id = ${id}`
      await this.#audit.record(tx, {
        ...by(caller),
        action: disabled ? 'vendor.disabled' : 'vendor.changed',
        object: { kind: 'vendor', id },
        reason: body.reason,
        before: canonicalVendor(vendor),
        after: canonicalVendor(after),
      })
      await revoke(
        tx,
        { kind: 'vendor', id, reason: disabled ? 'vendor-disabled' : 'account-changed' },
        this.#clock.wall(),
      )
      return this.#vendorView(tx, id)
    })
  }

  async #changeRoles(
    tx: Query,
    caller: Caller,
    person: PersonRow,
    held: readonly RoleRow[],
    wanted: Body<'POST /api/people'>['roles'],
    reason: string,
  ): Promise<void> {
    checkRoles(person.vendorId, wanted)
    await checkSites(tx, wanted)
    const same = (a: { role: string; siteId: string | null }, b: { role: string; siteId: string | null }) =>
      a.role === b.role && a.siteId === b.siteId
    const local = held.filter((row) => row.source === 'local')
    checkMayGrant(caller.principal, [
      ...wanted.filter((want) => !held.some((row) => same(row, want))),
      ...local.filter((row) => !wanted.some((want) => same(row, want))),
    ])
    if (wanted.some((want) => !held.some((row) => same(row, want))))
      await this.#checkOwnPasskey(tx, caller.principal)
    const changed = await setRoles(this.#audit, tx, person, wanted, {
      source: 'local',
      grantedBy: caller.principal.personId,
      by: by(caller),
      reason,
      nowMs: this.#clock.wall(),
    })
    if (changed.given.length + changed.taken.length > 0) {
      await revoke(tx, { kind: 'person', id: person.id, reason: 'roles-changed' }, this.#clock.wall())
    }
  }

  /** The person, locked, when this administrator may see them. */
  async #mine(tx: Query, principal: Principal, id: string): Promise<{ person: PersonRow; roles: RoleRow[] }> {
    const person = await readPerson(tx, id, true)
    const roles = person ? await readRoles(tx, [id]) : []
    const all = sitesOf(principal, 'administrator') === 'all'
    const visible = all || roles.some((held) => holds(principal, held.siteId, 'administrator'))
    if (!person || !visible) throw notFound('person')
    return { person, roles }
  }

  /**
   * The passkey that this administrator came in with must be theirs for certain, as somebody else has said: who makes a
   * set-up link for another administrator and comes in by it is still one person, and neither confirms, invites nor
   * gives roles as two.
   */
  async #checkOwnPasskey(tx: Query, principal: Principal): Promise<void> {
    if (principal.method !== 'passkey') return
    const used = await passkeyOfSignIn(tx, principal.signInId)
    if (
      used?.personId === principal.personId &&
      used.confirmedAt !== null &&
      (await isVouched(this.#audit, tx, 'passkey', used.id, canonicalPasskey(used)))
    ) {
      return
    }
    throw conflict(
      'own-passkey-not-confirmed',
      'Your own passkey has not been confirmed.',
      'Let another administrator confirm it first.',
    )
  }

  /** Whether somebody else could confirm for this person: an administrator of all their sites, proven to be one. */
  async #others(tx: Query, principal: Principal, id: string, roles: readonly RoleRow[]): Promise<boolean> {
    const candidates = await tx<{ id: string }[]>`
      SELECT DISTINCT p.id FROM person p JOIN role r ON r.person_id = p.id
      WHERE r.role = 'administrator' AND p.enabled AND p.vendor_id IS NULL
        AND p.id <> ${principal.personId} AND p.id <> ${id}
        AND (p.account_ends_at IS NULL OR p.account_ends_at > ${new Date(this.#clock.wall())})`
    const ids = candidates.map((one) => one.id)
    const held = await keepVouched(
      this.#audit,
      tx,
      (await readRoles(tx, ids)).map((row) => ({ row, kind: 'role', id: row.id, form: canonicalRole(row) })),
    )
    const keys = await keepVouched(
      this.#audit,
      tx,
      (await readPasskeys(tx, ids))
        .filter((row) => row.confirmedAt !== null)
        .map((row) => ({ row, kind: 'passkey', id: row.id, form: canonicalPasskey(row) })),
    )
    for (const candidate of ids) {
      const person = await readPerson(tx, candidate)
      const own = held.filter((row) => row.personId === candidate && row.role === 'administrator')
      const covers = (site: string | null) => own.some((row) => row.siteId === null || row.siteId === site)
      const proven = person?.issuer !== LOCAL_ISSUER || keys.some((key) => key.personId === candidate)
      if (!person || !proven || own.length === 0 || !roles.every((role) => covers(role.siteId))) continue
      if (await isVouched(this.#audit, tx, 'person', candidate, canonicalPerson(person))) return true
    }
    return false
  }

  async #checkSponsor(tx: Query, id: string): Promise<void> {
    const sponsor = await readPerson(tx, id)
    if (!sponsor || sponsor.vendorId !== null || !sponsor.enabled) {
      throw new Failure(
        400,
        'sponsor-not-possible',
        'The sponsor must be one of the plant’s own people.',
        'Choose another person.',
      )
    }
  }

  /** A vendor belongs to all sites, so only an administrator of the whole deployment changes it. */
  #deploymentWide(principal: Principal): void {
    if (sitesOf(principal, 'administrator') !== 'all') {
      throw forbidden('Vendors are kept by administrators of the whole deployment.', 'Ask one of them.')
    }
  }

  async #vendorView(tx: Query, id: string): Promise<VendorView> {
    const found = (await listVendors(tx)).find((vendor) => vendor.id === id)
    if (!found) throw notFound('vendor')
    return vendorView(found)
  }

  async #view(tx: Query, person: PersonRow): Promise<PersonView> {
    const [view] = await this.#views(tx, [person])
    if (!view) throw notFound('person')
    return view
  }

  async #views(query: Query, people: readonly PersonRow[]): Promise<PersonView[]> {
    const ids = people.map(({ id }) => id)
    const [roles, passkeys] = [await readRoles(query, ids), await readPasskeys(query, ids)]
    const names = await namesOf(
      query,
      passkeys.flatMap((key) => (key.confirmedBy ? [key.confirmedBy] : [])),
    )
    const vendorIds = [...new Set(people.flatMap((person) => (person.vendorId ? [person.vendorId] : [])))]
    const vendors =
      vendorIds.length === 0
        ? []
        : await query<
            { id: string; name: string }[]
          >`SELECT id, name FROM vendor WHERE id IN ${query(vendorIds)}`
    return people.map((person) => ({
      id: person.id,
      name: person.name,
      email: person.email,
      issuer: person.issuer,
      subject: person.subject,
      vendor: vendors.find((vendor) => vendor.id === person.vendorId) ?? null,
      enabled: person.enabled,
      accountEndsAt: iso(person.accountEndsAt),
      trainingValidUntil: iso(person.trainingValidUntil),
      lastSignInAt: iso(person.lastSignInAt),
      roles: roles
        .filter((held) => held.personId === person.id)
        .map(({ role, siteId }) => ({ role, siteId })),
      passkeys: passkeys
        .filter((key) => key.personId === person.id)
        .map((key) => passkeyView(key, key.confirmedBy ? (names.get(key.confirmedBy) ?? null) : null)),
    }))
  }
}

export function passkeyView(key: PasskeyRow, confirmedBy: string | null): Answer<'POST /api/me/passkeys'> {
  return {
    id: key.id,
    label: key.label,
    createdAt: key.createdAt.toISOString(),
    lastUsedAt: iso(key.lastUsedAt),
    confirmedBy,
    backedUp: key.backedUp,
  }
}

export async function namesOf(query: Query, personIds: readonly string[]): Promise<Map<string, string>> {
  if (personIds.length === 0) return new Map()
  const rows = await query<{ id: string; name: string }[]>`
    SELECT id, name FROM person WHERE id IN ${query([...new Set(personIds)])}`
  return new Map(rows.map((row) => [row.id, row.name]))
}

function vendorView(row: VendorRow & { sponsor: string; people: number }): VendorView {
  return {
    id: row.id,
    name: row.name,
    enabled: row.enabled,
    contractEndsAt: row.contractEndsAt.toISOString(),
    sponsor: { id: row.sponsorId, name: row.sponsor },
    tier: row.tier,
    people: row.people,
  }
}

async function checkSites(query: Query, roles: readonly { siteId: string | null }[]): Promise<void> {
  const ids = [...new Set(roles.flatMap(({ siteId }) => (siteId === null ? [] : [siteId])))]
  if (ids.length === 0) return
  const found = await query`SELECT id FROM site WHERE id IN ${query(ids)}`
  if (found.length !== ids.length) throw notFound('site')
}

function date(text: string | null): Date | null {
  return text === null ? null : new Date(text)
}

function cursorId(cursor: string): string {
  if (!/^[0-9a-f-]{36}$/.test(cursor)) {
    throw new Failure(
      400,
      'invalid-cursor',
      'This page of the list can’t be found.',
      'Begin at the first page.',
    )
  }
  return cursor
}
