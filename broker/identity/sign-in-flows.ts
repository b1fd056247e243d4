import type { FastifyReply } from 'fastify'
import type { AuditActor } from '../contract/audit-entry.ts'
import type { Clock } from '../domain/clock.ts'
import { conflict, Failure } from '../domain/failure.ts'
import { newId } from '../domain/ids.ts'
import type { Principal } from '../domain/principal.ts'
import type { Cookies } from '../http/cookies.ts'
import { TooMany } from '../http/errors.ts'
import { RateLimiter } from '../http/rate-limit.ts'
import { canonicalSite } from '../inventory/rows.ts'
import type { Database, Query } from '../store/sql.ts'
import { by } from './actor.ts'
import { type Ceremonies, type NewCredential, passkeyRefused } from './ceremonies.ts'
import { mapClaims } from './claims.ts'
import { type OidcClient, type Proven, TripFailure } from './oidc.ts'
import type { People } from './people.ts'
import { revoke } from './revocations.ts'
import { setRoles, type WantedRole } from './roles.ts'
import {
  canonicalPasskey,
  canonicalPerson,
  canonicalVendor,
  LOCAL_ISSUER,
  type PasskeyRow,
  type PersonRow,
  passkeyOfSignIn,
  readPasskeyByCredential,
  readPasskeys,
  readPerson,
  readPersonByAccount,
  readRoles,
  readVendor,
} from './rows.ts'
import type { SetUpLinks } from './set-up-links.ts'
import { type SignInService, whyNotSignedIn } from './sign-ins.ts'
import { isVouched, keepVouched, type Vouching } from './vouched.ts'

/** The HTTP side of a sign-in: who asks (or null), from where, and where the cookie goes. */
export interface Visit {
  principal: Principal | null
  signInToken: string | null
  sourceAddress: string
  reply: FastifyReply
}

export type Refused =
  | 'organisation-unknown'
  | 'no-role'
  | 'other-person'
  | 'row-not-vouched'
  | 'person-disabled'
  | 'account-ended'
  | 'vendor-disabled'

/** A proven identity that may not come in. */
export class SignInRefused extends Error {
  readonly why: Refused
  constructor(why: Refused) {
    super(why)
    this.name = 'SignInRefused'
    this.why = why
  }
}

export interface FlowDeps {
  db: Database
  audit: Vouching
  clock: Clock
  cookies: Cookies
  signIns: SignInService
  ceremonies: Ceremonies
  links: SetUpLinks
  people: People
  oidc: OidcClient
}

/** What happens between "here is a proof" and "here is your cookie". */
export class SignInFlows {
  readonly #deps: FlowDeps
  readonly #perCredential: RateLimiter
  readonly #refusals: RateLimiter
  #refusalsLeftOut = 0

  constructor(deps: FlowDeps) {
    this.#deps = deps
    this.#refusals = new RateLimiter({ burst: 100, perSecond: 2 }, deps.clock, 1)
    this.#perCredential = new RateLimiter({ burst: 10, perSecond: 0.2 }, deps.clock, 10_000)
  }

  /** Sign in with a passkey, or step up when the same person is signed in already. */
  async passkey(visit: Visit, challengeId: string, assertion: unknown): Promise<void> {
    const { db, audit, ceremonies, signIns, clock } = this.#deps
    const credentialId = ceremonies.credentialOf(assertion)
    if (credentialId === null) throw passkeyRefused()
    // By address too: a credential's id stands in every evidence package, and must not be enough to keep somebody out.
    const wait = this.#perCredential.take(`${credentialId} ${visit.sourceAddress}`)
    if (wait > 0) throw new TooMany(wait)
    const challenge = await ceremonies.take(db.sql, 'sign-in', challengeId)
    const { passkey, vouched } = await db.tx(async (tx) => {
      const row = await readPasskeyByCredential(tx, credentialId)
      return {
        passkey: row,
        vouched: row !== null && (await isVouched(audit, tx, 'passkey', row.id, canonicalPasskey(row))),
      }
    }, 'repeatable read read only')
    if (!challenge || !passkey) throw await this.#refusePasskey(visit, credentialId, null)
    if (challenge.signInId !== (visit.principal?.signInId ?? null)) {
      throw await this.#refusePasskey(visit, credentialId, passkey.personId)
    }
    const proof = vouched ? await ceremonies.verifyAssertion(challenge.challenge, assertion, passkey) : null
    if (!proof) throw await this.#refusePasskey(visit, credentialId, passkey.personId)
    const now = clock.wall()
    const cookie = await db.tx(async (tx) => {
      const person = await readPerson(tx, passkey.personId, true)
      if (!person) throw passkeyRefused()
      // Two answers at once with one counter value: the second is a copy.
      const used = await tx`
        UPDATE passkey SET counter = ${proof.counter}, backed_up = ${proof.backedUp}, last_used_at = ${new Date(now)}
        WHERE id = ${passkey.id} AND removed_at IS NULL AND counter = ${passkey.counter} RETURNING id`
      if (used.length === 0) throw passkeyRefused()
      await this.#checkAllowed(tx, person)
      if (visit.principal && visit.signInToken !== null) {
        if (visit.principal.personId !== person.id) throw otherPerson()
        if (!(await signIns.stepUp(tx, visit.signInToken, now, credentialId))) throw passkeyRefused()
        await audit.record(tx, {
          ...by({ principal: visit.principal, sourceAddress: visit.sourceAddress }),
          authentication: { method: 'passkey', credential: credentialId, at: new Date(now).toISOString() },
          action: 'sign-in.step-up',
          object: { kind: 'person', id: person.id },
        })
        return null
      }
      // A leaver that the identity provider has shut out must not come in by a passkey registered here.
      if (person.issuer !== LOCAL_ISSUER) {
        throw new Failure(
          403,
          'use-your-provider',
          'Your account signs in at your identity provider. Your passkey here confirms and signs.',
          'Choose the provider on the sign-in page.',
        )
      }
      return this.#open(tx, visit, person, {
        method: 'passkey',
        provider: 'passkey',
        providerSession: null,
        credential: credentialId,
        authenticatedAt: now,
      })
    }, 'repeatable read')
    if (cookie !== null) visit.reply.header('set-cookie', cookie)
  }

  /** The end of a set-up: the passkey is registered, the link is used up, the person is signed in. */
  async setUp(
    visit: Visit,
    made: { token: string; challengeId: string; attestation: unknown; label: string },
  ): Promise<void> {
    const { db, ceremonies, links, clock } = this.#deps
    const link = await db.tx((tx) => links.read(tx, made.token), 'repeatable read read only')
    const challenge = await ceremonies.take(db.sql, 'set-up', made.challengeId)
    const credential =
      challenge?.personId === link.person.id
        ? await ceremonies.verifyRegistration(challenge.challenge, made.attestation)
        : null
    if (!credential) throw passkeyRefused()
    const cookie = await db.tx(async (tx) => {
      await links.use(tx, link)
      const person = await readPerson(tx, link.person.id, true)
      if (!person) throw passkeyRefused()
      await this.#checkAllowed(tx, person)
      // Nobody is there yet who could confirm the very first passkey: the link from the server's console does.
      const confirmedBy = link.firstAdministrator ? person.id : null
      await this.#addPasskey(
        tx,
        person,
        credential,
        made,
        { confirmedBy, invitedBy: link.madeBy },
        {
          actor: actorFor(person),
          source: visit.sourceAddress,
        },
      )
      return this.#open(tx, { ...visit, principal: null }, person, {
        method: 'passkey',
        provider: 'passkey',
        providerSession: null,
        credential: credential.credentialId,
        authenticatedAt: clock.wall(),
      })
    }, 'repeatable read')
    visit.reply.header('set-cookie', cookie)
  }

  /** A further passkey of somebody who is signed in. It signs approvals only after an administrator confirmed it. */
  async addPasskey(
    caller: { principal: Principal; sourceAddress: string },
    made: { challengeId: string; attestation: unknown; label: string },
  ): Promise<PasskeyRow> {
    const { db, ceremonies } = this.#deps
    const challenge = await ceremonies.take(db.sql, 'add-passkey', made.challengeId)
    const credential =
      challenge?.personId === caller.principal.personId
        ? await ceremonies.verifyRegistration(challenge.challenge, made.attestation)
        : null
    if (!credential) throw passkeyRefused()
    return db.tx(async (tx) => {
      const person = await readPerson(tx, caller.principal.personId, true)
      if (!person) throw passkeyRefused()
      if ((await readPasskeys(tx, [person.id])).length >= 10) {
        throw conflict('too-many-passkeys', 'You have ten passkeys.', 'Remove one that you no longer use.')
      }
      // Whoever came in by a passkey that nobody has confirmed adds more of the same.
      const used = await passkeyOfSignIn(tx, caller.principal.signInId)
      const invitedBy = used && used.confirmedAt === null ? used.invitedBy : null
      return this.#addPasskey(tx, person, credential, made, { confirmedBy: null, invitedBy }, by(caller))
    })
  }

  /** After the identity provider's answer. Throws SignInRefused. */
  async oidc(visit: Visit, proven: Proven): Promise<void> {
    const { db, audit, signIns, clock } = this.#deps
    const cookie = await db.tx(async (tx) => {
      const person = await this.#fromClaims(tx, visit, proven)
      const why = await whyNotSignedIn(audit, tx, person, clock.wall())
      if (why) throw new SignInRefused(why)
      if (proven.stepUpSignInId !== null) {
        const same =
          visit.principal?.signInId === proven.stepUpSignInId && visit.principal.personId === person.id
        if (!same || visit.principal === null || visit.signInToken === null)
          throw new SignInRefused('other-person')
        if (!(await signIns.stepUp(tx, visit.signInToken, proven.authenticatedAt, null))) {
          throw new SignInRefused('other-person')
        }
        await audit.record(tx, {
          ...by({ principal: visit.principal, sourceAddress: visit.sourceAddress }),
          authentication: {
            method: 'oidc',
            credential: proven.issuer,
            at: new Date(proven.authenticatedAt).toISOString(),
          },
          action: 'sign-in.step-up',
          object: { kind: 'person', id: person.id },
        })
        return null
      }
      return this.#open(tx, visit, person, {
        method: 'oidc',
        provider: proven.provider.id,
        providerSession: proven.session,
        credential: proven.issuer,
        authenticatedAt: proven.authenticatedAt,
      })
    }, 'repeatable read')
    if (cookie !== null) visit.reply.header('set-cookie', cookie)
  }

  /** OpenID Connect back-channel logout: ends the sign-ins of that session, or of the subject everywhere. */
  async backChannelLogout(providerId: string, token: string, sourceAddress: string): Promise<void> {
    const { db, audit, oidc, signIns } = this.#deps
    // Before the transaction: the provider's keys may have to be fetched, and a connection must not wait for a stranger.
    const { provider, subject, session, id } = await oidc.verifyLogout(providerId, token)
    await db.tx(async (tx) => {
      await oidc.takeLogout(tx, provider.id, id)
      const rows = await tx<{ id: string; personId: string }[]>`
        SELECT s.id, s.person_id AS "personId" FROM sign_in s JOIN person p ON p.id = s.person_id
        WHERE s.ended_at IS NULL AND s.provider = ${provider.id} AND p.issuer = ${provider.issuer}
          ${session === null ? tx`` : tx`AND s.provider_session = ${session}`}
          ${subject === null ? tx`` : tx`AND p.subject = ${subject}`}`
      for (const row of rows) await signIns.end(tx, row.id, 'back-channel-logout')
      await audit.record(tx, {
        action: 'sign-in.logged-out',
        actor: { kind: 'system', id: provider.id, name: provider.name, organisation: provider.issuer },
        source: sourceAddress,
        object: rows[0] ? { kind: 'person', id: rows[0].personId } : null,
        reason: 'back-channel-logout',
        details: { signIns: rows.length },
      })
    })
  }

  /** A refused way through an identity provider, for the audit log; of a step-up, with whose it should have been. */
  async noteRefused(visit: Visit, provider: string, code: string, detail: string): Promise<void> {
    await this.#refused(visit, visit.principal?.personId ?? null, code, {
      provider: provider.slice(0, 40),
      detail: detail.slice(0, 500),
    })
  }

  /** At a bounded rate, because anybody can be refused; what was left out is counted in the next entry. */
  async #refused(
    visit: Visit,
    personId: string | null,
    code: string,
    details: Record<string, string>,
  ): Promise<void> {
    if (this.#refusals.take('all') > 0) {
      this.#refusalsLeftOut += 1
      return
    }
    const leftOut = this.#refusalsLeftOut
    this.#refusalsLeftOut = 0
    await this.#deps.audit.record(this.#deps.db.sql, {
      action: 'sign-in.refused',
      actor: { kind: 'anonymous', id: '-', name: null, organisation: null },
      source: visit.sourceAddress,
      object: personId === null ? null : { kind: 'person', id: personId },
      result: 'denied',
      reason: code,
      details: { ...details, leftOut },
    })
  }

  /** The new sign-in's cookie, for after the commit: `work` of a transaction may run twice. */
  async #open(
    tx: Query,
    visit: Visit,
    person: PersonRow,
    made: {
      method: 'passkey' | 'oidc'
      provider: string
      providerSession: string | null
      credential: string | null
      authenticatedAt: number
    },
  ): Promise<string> {
    const { signIns, audit, cookies } = this.#deps
    // A new token for every sign-in: one that somebody planted in the browser before is worth nothing.
    if (visit.principal) await signIns.end(tx, visit.principal.signInId, 'signed-out')
    const { token } = await signIns.create(tx, { person, ...made, sourceAddress: visit.sourceAddress })
    await audit.record(tx, {
      action: `sign-in.${made.method}`,
      actor: actorFor(person),
      authentication: {
        method: made.method,
        credential: made.credential,
        at: new Date(made.authenticatedAt).toISOString(),
      },
      source: visit.sourceAddress,
      object: { kind: 'person', id: person.id },
    })
    return cookies.write('sign-in', token, Math.floor(signIns.limits.absoluteMs / 1000))
  }

  async #addPasskey(
    tx: Query,
    person: PersonRow,
    credential: NewCredential,
    { label }: { label: string },
    { confirmedBy, invitedBy }: Pick<PasskeyRow, 'confirmedBy' | 'invitedBy'>,
    who: { actor: AuditActor; source?: string | null },
  ): Promise<PasskeyRow> {
    const { audit, clock } = this.#deps
    const now = new Date(clock.wall())
    const row: PasskeyRow = {
      id: newId(now.getTime()),
      personId: person.id,
      credentialId: credential.credentialId,
      publicKey: credential.publicKey,
      counter: credential.counter,
      transports: credential.transports,
      backupEligible: credential.backupEligible,
      backedUp: credential.backedUp,
      label,
      createdAt: now,
      lastUsedAt: null,
      confirmedBy,
      confirmedAt: confirmedBy === null ? null : now,
      invitedBy,
    }
    await tx`
      INSERT INTO passkey (id, person_id, credential_id, public_key, counter, transports, backup_eligible, backed_up,
        aaguid, label, created_at, confirmed_by, confirmed_at, invited_by)
      VALUES (${row.id}, ${row.personId}, ${row.credentialId}, ${row.publicKey}, ${row.counter},
        ${tx.json(row.transports)}, ${row.backupEligible}, ${row.backedUp}, ${credential.aaguid}, ${row.label},
        ${now}, ${row.confirmedBy}, ${row.confirmedAt}, ${row.invitedBy})`
    await audit.record(tx, {
      ...who,
      action: 'passkey.registered',
      object: { kind: 'passkey', id: row.id },
      after: canonicalPasskey(row),
      details: {
        person: person.id,
        credential: row.credentialId,
        backupEligible: row.backupEligible,
        confirmedBySetUp: confirmedBy !== null,
      },
    })
    return row
  }

  /** Finds or makes the person behind an issuer and subject, and brings organisation and roles up to date. */
  async #fromClaims(tx: Query, visit: Visit, proven: Proven): Promise<PersonRow> {
    const { audit, people, clock } = this.#deps
    const mapped = mapClaims(proven.claims, proven.provider.mapping)
    if (!mapped) throw new SignInRefused('organisation-unknown')
    let vendorId: string | null = null
    if (mapped.organisation !== 'staff') {
      const [found] = await tx<
        { id: string }[]
      >`SELECT id FROM vendor WHERE name = ${mapped.organisation.vendor}`
      const vendor = found ? await readVendor(tx, found.id) : null
      if (!vendor) throw new SignInRefused('organisation-unknown')
      if (!(await isVouched(audit, tx, 'vendor', vendor.id, canonicalVendor(vendor)))) {
        throw new SignInRefused('row-not-vouched')
      }
      vendorId = vendor.id
    }
    const roles = await rolesByName(tx, audit, mapped.roles)
    const name =
      claimText(proven.claims.name) ?? claimText(proven.claims.preferred_username) ?? proven.subject
    // An address that the provider did not check is whatever its user wrote there: it would make them somebody else's
    // second account, or hide their own.
    const checked = proven.claims.email_verified === true || proven.provider.emailsVerified === true
    const claimed = checked ? claimText(proven.claims.email) : null
    const system: AuditActor = {
      kind: 'system',
      id: proven.provider.id,
      name: proven.provider.name,
      organisation: proven.issuer.slice(0, 200),
    }
    const by = { actor: system, source: visit.sourceAddress }
    const known = await readPersonByAccount(tx, proven.issuer, proven.subject)
    let person: PersonRow
    if (known) {
      const before = (await readPerson(tx, known.id, true)) ?? known
      if (!(await isVouched(audit, tx, 'person', before.id, canonicalPerson(before)))) {
        throw new SignInRefused('row-not-vouched')
      }
      // A sign-in without one takes no known address away: that would be a way out of the second-account rule.
      const email = claimed ?? before.email
      person = { ...before, name: name.slice(0, 120), email, vendorId }
      if (JSON.stringify(canonicalPerson(person)) !== JSON.stringify(canonicalPerson(before))) {
        await audit.record(tx, {
          ...by,
          action: 'person.changed',
          object: { kind: 'person', id: person.id },
          reason: 'claims of the identity provider',
          before: canonicalPerson(before),
          after: canonicalPerson(person),
        })
      }
      await tx`UPDATE person SET name = ${person.name}, email = ${email}, vendor_id = ${vendorId} WHERE id = ${person.id}`
    } else {
      if (roles.length === 0) throw new SignInRefused('no-role')
      person = await people.insert(tx, {
        name: name.slice(0, 120),
        email: claimed,
        vendorId,
        accountEndsAt: null,
        trainingValidUntil: null,
        account: { issuer: proven.issuer, subject: proven.subject },
        by,
      })
    }
    const changed = await setRoles(audit, tx, person, roles, {
      source: 'claims',
      grantedBy: null,
      by,
      reason: 'claims of the identity provider',
      nowMs: clock.wall(),
    })
    if (changed.taken.length > 0) {
      await revoke(tx, { kind: 'person', id: person.id, reason: 'roles-changed' }, clock.wall())
    }
    if ((await readRoles(tx, [person.id])).length === 0) throw new SignInRefused('no-role')
    return person
  }

  async #checkAllowed(tx: Query, person: PersonRow): Promise<void> {
    const why = await whyNotSignedIn(this.#deps.audit, tx, person, this.#deps.clock.wall())
    if (why) throw new Failure(403, why, SENTENCES[why], 'Ask an administrator of the plant.')
  }

  async #refusePasskey(visit: Visit, credential: string, personId: string | null): Promise<Failure> {
    await this.#refused(visit, personId, 'passkey-refused', {
      provider: 'passkey',
      credential: credential.slice(0, 500),
    })
    return passkeyRefused()
  }
}

/** Why somebody whose identity is proven doesn't come in. */
export const SENTENCES: Record<Refused, string> = {
  'organisation-unknown': 'Your identity provider names no organisation that this plant knows.',
  'no-role': 'Your account has no role here.',
  'other-person': 'That was another person than the one who is signed in.',
  'row-not-vouched': 'Your account was changed outside of Sallyport and does not count.',
  'person-disabled': 'Your account is disabled.',
  'account-ended': 'Your account has ended.',
  'vendor-disabled': 'Your company is disabled here.',
}

export function problemOf(error: unknown): { code: string; detail: string } | null {
  if (error instanceof TripFailure) return { code: error.problem, detail: error.message }
  if (error instanceof SignInRefused) return { code: error.why, detail: SENTENCES[error.why] }
  return null
}

function otherPerson(): Failure {
  return conflict('other-person', SENTENCES['other-person'], 'Sign out first, or use your own passkey.')
}

function actorFor(person: PersonRow): AuditActor {
  return { kind: 'person', id: person.id, name: person.name, organisation: person.vendorId }
}

function claimText(value: unknown): string | null {
  return typeof value === 'string' && value.trim() !== '' ? value.trim().slice(0, 200) : null
}

/** Sites by their names; one that does not exist, or whose name was edited in the database, gives no role. */
export async function rolesByName(
  tx: Query,
  audit: Vouching,
  roles: readonly { role: WantedRole['role']; site: string | null }[],
): Promise<WantedRole[]> {
  const names = [...new Set(roles.flatMap(({ site }) => (site === null ? [] : [site])))]
  const sites =
    names.length === 0
      ? []
      : await tx<{ id: string; name: string; timeZone: string }[]>`
          SELECT id, name, time_zone AS "timeZone" FROM site WHERE name IN ${tx(names)}`
  const vouched = await keepVouched(
    audit,
    tx,
    sites.map((row) => ({ row, kind: 'site', id: row.id, form: canonicalSite(row) })),
  )
  return roles.flatMap(({ role, site }): WantedRole[] => {
    if (site === null) return [{ role, siteId: null }]
    const found = vouched.find((candidate) => candidate.name === site)
    return found ? [{ role, siteId: found.id }] : []
  })
}
