import type { Clock } from '../domain/clock.ts'
import { Failure } from '../domain/failure.ts'
import type { Principal } from '../domain/principal.ts'
import type { PublicOrigin } from '../http/origin.ts'
import type { Query } from '../store/sql.ts'
import { by } from './actor.ts'
import { LOCAL_ISSUER, type PersonRow, readPerson } from './rows.ts'
import type { Tokens } from './tokens.ts'
import { isVouched, type Vouching } from './vouched.ts'

const LINK_MS = 24 * 3_600_000

export interface SetUp {
  person: PersonRow
  tokenHash: Buffer
  firstAdministrator: boolean
  /** The administrator who made it; null for the first one, from the console. */
  madeBy: string | null
}

/**
 * One-time links with which a local person registers a passkey. The token stands after `#`, so that it reaches no
 * server log and no referrer; the database keeps an HMAC bound to the person and to whether this is the very first
 * administrator, so a row made or edited by hand opens nothing.
 */
export class SetUpLinks {
  readonly #origin: PublicOrigin
  readonly #audit: Vouching
  readonly #tokens: Tokens
  readonly #clock: Clock

  constructor(origin: PublicOrigin, audit: Vouching, tokens: Tokens, clock: Clock) {
    this.#origin = origin
    this.#audit = audit
    this.#tokens = tokens
    this.#clock = clock
  }

  /** A new link; earlier ones of this person stop working. `caller` null: the first start. */
  async make(
    tx: Query,
    person: PersonRow,
    caller: { principal: Principal; sourceAddress: string } | null,
    reason: string | null = null,
  ): Promise<{ url: string; expiresAt: Date }> {
    const now = this.#clock.wall()
    const expiresAt = new Date(now + LINK_MS)
    const token = this.#tokens.newToken(person.id)
    const first = caller === null
    const former = await tx<LinkRow[]>`
      SELECT ${columns(tx)} FROM set_up_link
      WHERE person_id = ${person.id} AND used_at IS NULL AND expires_at > ${new Date(now)} FOR UPDATE`
    for (const row of former) await this.#end(tx, row, 'set-up-link.replaced')
    await tx`UPDATE set_up_link SET expires_at = ${new Date(now)}
      WHERE person_id = ${person.id} AND used_at IS NULL AND expires_at > ${new Date(now)}`
    const hash = this.#tokens.sealSetUp(token, person.id, first)
    const madeBy = caller?.principal.personId ?? null
    await tx`
      INSERT INTO set_up_link (token_hash, person_id, created_by, first_administrator, created_at, expires_at)
      VALUES (${hash}, ${person.id},
        ${madeBy}, ${first}, ${new Date(now)}, ${expiresAt})`
    await this.#audit.record(tx, {
      ...(caller
        ? by(caller)
        : { actor: { kind: 'system', id: 'first-start', name: null, organisation: null } as const }),
      action: 'set-up-link.made',
      object: { kind: 'set-up-link', id: hash.toString('hex') },
      reason,
      after: linkState({ tokenHash: hash, personId: person.id, expiresAt, madeBy }),
      details: { person: person.id, expires: expiresAt.toISOString(), firstAdministrator: first },
    })
    return { url: `${this.#origin.origin}/set-up#${token}`, expiresAt }
  }

  /** Throws Failure `set-up-link` when the link is unknown, used or too old. In a repeatable-read transaction. */
  async read(query: Query, token: string): Promise<SetUp> {
    const personId = this.#tokens.idOf(token)
    if (personId === null) throw gone()
    const seals = [true, false].map((first) => this.#tokens.sealSetUp(token, personId, first)) as [
      Buffer,
      Buffer,
    ]
    const [row] = await query<(LinkRow & { usedAt: Date | null })[]>`
      SELECT ${columns(query)}, used_at AS "usedAt"
      FROM set_up_link WHERE token_hash = ${seals[0]} OR token_hash = ${seals[1]}`
    if (!row || row.usedAt !== null || row.expiresAt.getTime() <= this.#clock.wall()) throw gone()
    // A used or old link that somebody put back into force in the database stays what it is.
    if (
      !(await isVouched(this.#audit, query, 'set-up-link', row.tokenHash.toString('hex'), linkState(row)))
    ) {
      throw gone()
    }
    const person = row.personId === personId ? await readPerson(query, personId) : null
    if (!person?.enabled || person.issuer !== LOCAL_ISSUER) throw gone()
    return {
      person,
      tokenHash: row.tokenHash,
      firstAdministrator: row.tokenHash.equals(seals[0]),
      madeBy: row.madeBy,
    }
  }

  /** Uses the link up; throws when somebody else was faster. */
  async use(tx: Query, link: SetUp): Promise<void> {
    const [used] = await tx<LinkRow[]>`UPDATE set_up_link SET used_at = ${new Date(this.#clock.wall())}
      WHERE token_hash = ${link.tokenHash} AND used_at IS NULL RETURNING ${columns(tx)}`
    if (!used) throw gone()
    await this.#end(tx, used, 'set-up-link.used')
  }

  /** From here on the log vouches for no such link. */
  async #end(tx: Query, row: LinkRow, action: string): Promise<void> {
    await this.#audit.record(tx, {
      actor: { kind: 'system', id: 'set-up-links', name: null, organisation: null },
      action,
      object: { kind: 'set-up-link', id: row.tokenHash.toString('hex') },
      before: linkState(row),
      after: null,
      details: { person: row.personId },
    })
  }
}

interface LinkRow {
  tokenHash: Buffer
  personId: string
  expiresAt: Date
  madeBy: string | null
}

const columns = (query: Query) => query`
  token_hash AS "tokenHash", person_id AS "personId", expires_at AS "expiresAt", created_by AS "madeBy"`

/** Object kind `set-up-link`, by its hash. A used or replaced link has no form. */
function linkState(row: LinkRow) {
  return {
    v: 1,
    tokenHash: row.tokenHash.toString('hex'),
    personId: row.personId,
    expiresAt: row.expiresAt.toISOString(),
    madeBy: row.madeBy,
  }
}

function gone(): Failure {
  return new Failure(
    404,
    'set-up-link',
    'This link is not valid (any more): it works once, for 24 hours.',
    'Ask an administrator for a new one.',
  )
}
