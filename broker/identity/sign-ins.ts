import { randomBytes, timingSafeEqual } from 'node:crypto'
import { BROKER } from '../audit/event.ts'
import { sha256 } from '../domain/canonical.ts'
import type { Clock } from '../domain/clock.ts'
import { newId } from '../domain/ids.ts'
import type { Principal } from '../domain/principal.ts'
import type { Database, Query } from '../store/sql.ts'
import { type Revoked, revoke } from './revocations.ts'
import {
  canonicalPerson,
  canonicalRole,
  canonicalVendor,
  type PersonRow,
  readPerson,
  readRoles,
  readVendor,
} from './rows.ts'
import type { SealedSignIn, Tokens } from './tokens.ts'
import { isVouched, keepVouched, type Vouching } from './vouched.ts'

export interface SignInLimits {
  /** Without a request for so long, the sign-in is over. */
  idleMs: number
  /** Whatever happens, it is over then. */
  absoluteMs: number
}

export const DEFAULT_SIGN_IN_LIMITS: SignInLimits = { idleMs: 30 * 60_000, absoluteMs: 12 * 3_600_000 }

/** How long operators' sign-ins serve from memory while the database is down (access.md, "Ending safely"). */
const REMEMBER_MS = 15 * 60_000
const REMEMBER_AT_MOST = 5_000
/** `last_seen_at` is written at most this often. */
const SEEN_EVERY_MS = 60_000

/** How long a sign-in's row stays after its end. */
const KEEP_MS = 30 * 86_400_000

interface SignInRow extends SealedSignIn {
  tokenHash: Buffer
  lastSeenAt: Date
  endedAt: Date | null
}

export interface NewSignIn {
  person: PersonRow
  method: 'passkey' | 'oidc'
  /** 'passkey' or the identity provider's id. */
  provider: string
  providerSession: string | null
  credential: string | null
  authenticatedAt: number
  sourceAddress: string
}

/** Server-side sign-ins: the cookie is a name and a secret, everything else is read from the database each time. */
export class SignInService {
  readonly #db: Database
  readonly #audit: Vouching
  readonly #tokens: Tokens
  readonly #clock: Clock
  readonly #limits: SignInLimits
  readonly #remembered = new Map<string, { token: Buffer; principal: Principal; at: number }>()

  constructor(db: Database, audit: Vouching, tokens: Tokens, clock: Clock, limits: SignInLimits) {
    this.#db = db
    this.#audit = audit
    this.#tokens = tokens
    this.#clock = clock
    this.#limits = limits
  }

  get limits(): SignInLimits {
    return this.#limits
  }

  csrfToken(token: string): string {
    return this.#tokens.csrf(token)
  }

  /** A new sign-in; answers with the cookie's value, which exists nowhere else. */
  async create(query: Query, made: NewSignIn): Promise<{ id: string; token: string }> {
    const now = this.#clock.wall()
    const row: SealedSignIn = {
      id: newId(now),
      personId: made.person.id,
      method: made.method,
      provider: made.provider,
      revocationEpoch: made.person.revocationEpoch,
      createdAt: new Date(now),
      authenticatedAt: new Date(made.authenticatedAt),
      expiresAt: new Date(now + this.#limits.absoluteMs),
    }
    const token = this.#tokens.newToken(row.id)
    // Who signed in when stands in the audit log for good; these rows are only needed while they open something.
    await query`DELETE FROM sign_in WHERE expires_at < ${new Date(now - KEEP_MS)}`
    await query`
      INSERT INTO sign_in (id, token_hash, person_id, method, provider, provider_session, credential,
        revocation_epoch, created_at, last_seen_at, authenticated_at, expires_at, source_address)
      VALUES (${row.id}, ${this.#tokens.sealSignIn(token, row)}, ${row.personId}, ${row.method}, ${row.provider},
        ${made.providerSession}, ${made.credential}, ${row.revocationEpoch}, ${row.createdAt}, ${row.createdAt},
        ${row.authenticatedAt}, ${row.expiresAt}, ${made.sourceAddress})`
    await query`UPDATE person SET last_sign_in_at = ${row.createdAt} WHERE id = ${row.personId}`
    return { id: row.id, token }
  }

  async authenticate(token: string, sourceAddress: string): Promise<Principal | null> {
    const read = await this.#db.tx(async (tx) => {
      const row = await this.#current(tx, token)
      const who = row && (await this.#principal(tx, row))
      return who && { found: row, principal: who }
    }, 'repeatable read read only')
    if (!read) return null
    const { found, principal } = read
    const now = this.#clock.wall()
    if (now - found.lastSeenAt.getTime() >= SEEN_EVERY_MS) {
      await this.#db.sql`UPDATE sign_in SET last_seen_at = ${new Date(now)}, source_address = ${sourceAddress}
        WHERE id = ${found.id} AND ended_at IS NULL`
    }
    this.#remember(token, principal)
    return principal
  }

  /** Of people who may stop sessions, and only while the last look at the database is 15 minutes old at most. */
  authenticateFromMemory(token: string): Principal | null {
    const id = this.#tokens.idOf(token)
    const kept = id === null ? undefined : this.#remembered.get(id)
    if (!kept || this.#clock.monotonic() - kept.at > REMEMBER_MS) return null
    return timingSafeEqual(kept.token, sha256(token)) ? kept.principal : null
  }

  /** Strong authentication again: the same sign-in, a new time, a new seal. Null when the sign-in is over. */
  async stepUp(
    query: Query,
    token: string,
    authenticatedAt: number,
    credential: string | null,
  ): Promise<boolean> {
    const found = await this.#current(query, token)
    if (!found) return false
    const row = { ...found, authenticatedAt: new Date(authenticatedAt) }
    await query`UPDATE sign_in SET authenticated_at = ${row.authenticatedAt},
        token_hash = ${this.#tokens.sealSignIn(token, row)},
        credential = COALESCE(${credential}, credential), last_seen_at = ${new Date(this.#clock.wall())}
      WHERE id = ${row.id} AND ended_at IS NULL`
    return true
  }

  /**
   * Ends one sign-in, for good: its secret's hash goes, and the end stands in the log, so that a row put back as it was
   * opens nothing (threat 10).
   */
  async end(query: Query, id: string, because: Revoked['reason']): Promise<void> {
    const now = this.#clock.wall()
    const ended = await query`UPDATE sign_in SET ended_at = ${new Date(now)}, ended_because = ${because},
        token_hash = ${randomBytes(32)}
      WHERE id = ${id} AND ended_at IS NULL RETURNING id`
    if (ended.length === 0) return
    await this.#audit.record(query, {
      action: 'sign-in.ended',
      actor: BROKER,
      object: { kind: 'sign-in', id },
      reason: because,
    })
    await revoke(query, { kind: 'sign-in', id, reason: because }, now)
  }

  /** Forgets what memory holds of the revoked: a disabled operator stops nothing while the database is down. */
  forget(revoked: Revoked): void {
    for (const [id, kept] of this.#remembered) {
      const hit =
        revoked.kind === 'sign-in'
          ? id === revoked.id
          : revoked.kind === 'person'
            ? kept.principal.personId === revoked.id
            : kept.principal.vendorId === revoked.id
      if (hit) this.#remembered.delete(id)
    }
  }

  /** The row of a token, when it is sealed by us, neither ended nor too old. */
  async #current(query: Query, token: string): Promise<SignInRow | null> {
    const id = this.#tokens.idOf(token)
    if (id === null) return null
    // Of a sign-in the log says one thing, that it has ended.
    const [row] = await query<(SignInRow & { endLogged: boolean })[]>`
      SELECT EXISTS (SELECT FROM audit.entry e WHERE e.object_kind = 'sign-in' AND e.object_id = sign_in.id::text)
          AS "endLogged", id, token_hash AS "tokenHash", person_id AS "personId", method, provider,
        revocation_epoch AS "revocationEpoch", created_at AS "createdAt", last_seen_at AS "lastSeenAt",
        authenticated_at AS "authenticatedAt", expires_at AS "expiresAt", ended_at AS "endedAt"
      FROM sign_in WHERE id = ${id}`
    if (!row) return null
    const seal = this.#tokens.sealSignIn(token, row)
    if (seal.length !== row.tokenHash.length || !timingSafeEqual(seal, row.tokenHash)) return null
    const now = this.#clock.wall()
    if (row.endedAt !== null || row.endLogged || row.expiresAt.getTime() <= now) return null
    if (now - row.lastSeenAt.getTime() >= this.#limits.idleMs) return null
    return row
  }

  async #principal(query: Query, row: SignInRow): Promise<Principal | null> {
    const person = await readPerson(query, row.personId)
    if (!person || person.revocationEpoch !== row.revocationEpoch) return null
    if (whyNotNow(person, this.#clock.wall()) !== null) return null
    const vendor = person.vendorId === null ? null : await readVendor(query, person.vendorId)
    if (person.vendorId !== null && !vendor?.enabled) return null
    const held = await readRoles(query, [person.id])
    // All in one question to the log; the answer decides about the person, the vendor and each role.
    const kept = new Set<object>(
      await keepVouched<object>(this.#audit, query, [
        { row: person, kind: 'person', id: person.id, form: canonicalPerson(person) },
        ...(vendor ? [{ row: vendor, kind: 'vendor', id: vendor.id, form: canonicalVendor(vendor) }] : []),
        ...held.map((role) => ({ row: role, kind: 'role', id: role.id, form: canonicalRole(role) })),
      ]),
    )
    if (!kept.has(person) || (vendor && !kept.has(vendor))) return null
    const roles = held.filter((role) => kept.has(role))
    return {
      personId: person.id,
      issuer: person.issuer,
      subject: person.subject,
      name: person.name,
      vendorId: person.vendorId,
      // A vendor's engineer never acts for the plant, whatever a row says (access.md, "Approvals").
      roles: roles
        .filter((held) => (held.role === 'vendor') === (person.vendorId !== null))
        .map((held) => ({ role: held.role, siteId: held.siteId })),
      signInId: row.id,
      method: row.method,
      authenticatedAt: row.authenticatedAt.getTime(),
    }
  }

  #remember(token: string, principal: Principal): void {
    this.#remembered.delete(principal.signInId)
    if (!principal.roles.some(({ role }) => role === 'operator' || role === 'approver')) return
    if (this.#remembered.size >= REMEMBER_AT_MOST) {
      const oldest = this.#remembered.keys().next()
      if (!oldest.done) this.#remembered.delete(oldest.value)
    }
    this.#remembered.set(principal.signInId, { token: sha256(token), principal, at: this.#clock.monotonic() })
  }
}

/**
 * Why a person may not be signed in at all; null when they may. A contract or training that has run out doesn't keep
 * them out: they should see what is missing, and `decideAccess` denies them.
 */
export async function whyNotSignedIn(
  audit: Vouching,
  query: Query,
  person: PersonRow,
  nowMs: number,
): Promise<'row-not-vouched' | 'person-disabled' | 'account-ended' | 'vendor-disabled' | null> {
  const now = whyNotNow(person, nowMs)
  if (now) return now
  if (!(await isVouched(audit, query, 'person', person.id, canonicalPerson(person)))) return 'row-not-vouched'
  if (person.vendorId !== null) {
    const vendor = await readVendor(query, person.vendorId)
    if (!vendor?.enabled) return 'vendor-disabled'
    if (!(await isVouched(audit, query, 'vendor', vendor.id, canonicalVendor(vendor))))
      return 'row-not-vouched'
  }
  return null
}

function whyNotNow(person: PersonRow, nowMs: number): 'person-disabled' | 'account-ended' | null {
  if (!person.enabled) return 'person-disabled'
  return person.accountEndsAt !== null && person.accountEndsAt.getTime() <= nowMs ? 'account-ended' : null
}
