import { z } from 'zod'
import { type Grant, JWS_TYPES, type Lease, type SessionTicket } from '../../broker/domain/grant.ts'
import { hasIdentity } from '../../broker/domain/vnc.ts'
import { grantSchema } from '../../recordings/format/grant-schema.ts'
import { decodeJws, verifyJws } from '../../recordings/format/jws.ts'
import type { BrokerKeys } from '../identity/identity.ts'

/** Stable codes of what the gateway refuses; each is an event. */
export type TokenRefusal =
  | 'bad-grant'
  | 'bad-lease'
  | 'bad-ticket'
  | 'unknown-key'
  | 'not-for-this-gateway'
  | 'not-for-this-session'
  | 'expired'
  | 'from-the-future'
  | 'old-serial'
  | 'ticket-reused'
  | 'wrong-person'
  | 'wrong-use'

export type Checked<T> = { ok: true; value: T } | { ok: false; code: TokenRefusal }

/** Whose tokens count, and when. `now` in milliseconds since the epoch. */
export interface Authority {
  brokerKeys: BrokerKeys
  gateway: string
  deployment: string
  site: string
  now: number
}

/** Clocks of broker and gateway may differ by so much (access.md): more is a refusal of its own. */
const SKEW_MS = 30_000
/** A lease is 60 s at most and a ticket 30 s; one that says more is not by our broker's rules. */
const LONGEST_LEASE_S = 60
const LONGEST_TICKET_S = 30

const seconds = z.number().int().min(0).max(Number.MAX_SAFE_INTEGER)

const leaseSchema = z.strictObject({
  v: z.literal(1),
  session: z.uuid(),
  grant: z.uuid(),
  serial: z.number().int().min(1).max(10_000),
  iat: seconds,
  exp: seconds,
})

const ticketSchema = z.strictObject({
  v: z.literal(1),
  jti: z.uuid(),
  iat: seconds,
  exp: seconds,
  session: z.uuid(),
  gateway: z.uuid(),
  person: z.uuid(),
  personName: z.string().min(1).max(200),
  use: z.enum(['open', 'attach', 'watch']),
})

async function check<T extends { iat: number; exp: number }>(
  jws: string,
  typ: string,
  schema: z.ZodType<T>,
  authority: Authority,
  bad: TokenRefusal,
): Promise<Checked<T>> {
  const refuse = (code: TokenRefusal) => ({ ok: false as const, code })
  const named = decodeJws(jws, typ, schema)
  if (!named.ok) return refuse(bad)
  const x = authority.brokerKeys.get(named.value.kid)
  if (x === undefined) return refuse('unknown-key')
  const verified = await verifyJws(jws, typ, schema, x)
  if (!verified.ok) return refuse(bad)
  const { payload } = verified.value
  // Half-open: at `exp` it counts no longer.
  if (payload.exp * 1000 <= authority.now) return refuse('expired')
  if (payload.iat * 1000 > authority.now + SKEW_MS) return refuse('from-the-future')
  return { ok: true, value: payload }
}

/** A grant for this gateway, by a key that its broker uses now. Fields are the gateway's only source of an address. */
export async function checkGrant(jws: string, authority: Authority): Promise<Checked<Grant>> {
  const checked = await check(jws, JWS_TYPES.grant, grantSchema as z.ZodType<Grant>, authority, 'bad-grant')
  if (!checked.ok) return checked
  const grant = checked.value
  if (
    grant.gateway !== authority.gateway ||
    grant.deployment !== authority.deployment ||
    grant.site.id !== authority.site
  )
    return { ok: false, code: 'not-for-this-gateway' }
  const vnc = grant.vnc ?? null
  if ((grant.protocol === 'vnc') !== (vnc !== null)) return { ok: false, code: 'bad-grant' }
  // Without a pinned identity there is nothing to hold the asset to: only where the grant says that it has none.
  if (hasIdentity(vnc) && grant.identities.length === 0) return { ok: false, code: 'bad-grant' }
  return checked
}

export async function checkLease(
  jws: string,
  authority: Authority,
  of: { session: string; grant: string },
): Promise<Checked<Lease>> {
  const checked = await check(jws, JWS_TYPES.lease, leaseSchema as z.ZodType<Lease>, authority, 'bad-lease')
  if (!checked.ok) return checked
  const lease = checked.value
  if (lease.session !== of.session || lease.grant !== of.grant)
    return { ok: false, code: 'not-for-this-session' }
  if (lease.exp - lease.iat > LONGEST_LEASE_S) return { ok: false, code: 'bad-lease' }
  return checked
}

/** Opens a socket once. Ids are kept until they would have run out anyway; the session's one owner holds this. */
export class TicketDesk {
  readonly #used = new Map<string, number>()

  async redeem(jws: string, authority: Authority, session: string): Promise<Checked<SessionTicket>> {
    const checked = await check(
      jws,
      JWS_TYPES.ticket,
      ticketSchema as z.ZodType<SessionTicket>,
      authority,
      'bad-ticket',
    )
    if (!checked.ok) return checked
    const ticket = checked.value
    if (ticket.gateway !== authority.gateway) return { ok: false, code: 'not-for-this-gateway' }
    if (ticket.session !== session) return { ok: false, code: 'not-for-this-session' }
    if (ticket.exp - ticket.iat > LONGEST_TICKET_S) return { ok: false, code: 'bad-ticket' }
    for (const [jti, expires] of this.#used) if (expires <= authority.now) this.#used.delete(jti)
    if (this.#used.has(ticket.jti)) return { ok: false, code: 'ticket-reused' }
    // Clocks that step back must not bring an id back to life: kept for twice its life.
    this.#used.set(ticket.jti, ticket.exp * 1000 + 2 * SKEW_MS)
    return checked
  }
}
