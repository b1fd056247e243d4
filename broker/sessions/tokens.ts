import { createPublicKey, verify } from 'node:crypto'
import { compactVerify, importJWK } from 'jose'
import { z } from 'zod'
import { type Grant, JWS_TYPES, type Lease, type SessionTicket } from '../domain/grant.ts'
import { newId } from '../domain/ids.ts'
import type { SigningKey } from '../keys/signing-key.ts'

/** A lease lasts a minute at most, and never longer than its grant. */
export const LEASE_SECONDS = 60
export const TICKET_SECONDS = 30

const ticketSchema = z.strictObject({
  v: z.literal(1),
  jti: z.uuid(),
  iat: z.number().int(),
  exp: z.number().int(),
  session: z.uuid(),
  gateway: z.uuid(),
  person: z.uuid(),
  personName: z.string(),
  use: z.enum(['open', 'attach', 'watch']),
})

/**
 * The grant in a stored JWS, when one of these keys of this deployment's brokers signed it; null otherwise. What is read
 * back from a row is renewed, and signed anew: unverified, an edited row would become a grant (threat 10).
 */
export function readGrant(keys: readonly { x: string; kid: string }[], jws: string): Grant | null {
  try {
    const [head = '', payload = '', signature = '', more] = jws.split('.')
    const { alg, typ, kid } = JSON.parse(text(head)) as Record<string, unknown>
    const key = keys.find((candidate) => candidate.kid === kid)
    if (!key || more !== undefined || alg !== 'Ed25519' || typ !== JWS_TYPES.grant) return null
    const publicKey = createPublicKey({ key: { kty: 'OKP', crv: 'Ed25519', x: key.x }, format: 'jwk' })
    const signed = Buffer.from(`${head}.${payload}`, 'ascii')
    return verify(null, signed, publicKey, Buffer.from(signature, 'base64url'))
      ? (JSON.parse(text(payload)) as Grant)
      : null
  } catch {
    return null
  }
}

function text(base64url: string): string {
  return Buffer.from(base64url, 'base64url').toString('utf8')
}

export function signGrant(key: SigningKey, grant: Grant): Promise<string> {
  return key.signJws(grant, JWS_TYPES.grant)
}

/** A lease for the grant's session from `nowMs` on. */
export function signLease(key: SigningKey, grant: Grant, nowMs: number): Promise<string> {
  const iat = Math.floor(nowMs / 1000)
  const lease: Lease = {
    v: 1,
    session: grant.session,
    grant: grant.jti,
    serial: grant.serial,
    iat,
    exp: Math.min(iat + LEASE_SECONDS, grant.exp),
  }
  return key.signJws(lease, JWS_TYPES.lease)
}

export function signTicket(
  key: SigningKey,
  ticket: Omit<SessionTicket, 'v' | 'jti' | 'iat' | 'exp'>,
  nowMs: number,
): Promise<string> {
  const iat = Math.floor(nowMs / 1000)
  return key.signJws({ v: 1, jti: newId(nowMs), iat, exp: iat + TICKET_SECONDS, ...ticket }, JWS_TYPES.ticket)
}

/** The ticket, when this broker's key signed it and it has not expired; null otherwise. Using it up is the gateway's. */
export async function readTicket(
  key: { x: string; kid: string },
  jws: string,
  nowMs: number,
): Promise<SessionTicket | null> {
  try {
    const publicKey = await importJWK({ kty: 'OKP', crv: 'Ed25519', x: key.x }, 'Ed25519')
    const { payload, protectedHeader } = await compactVerify(jws, publicKey, { algorithms: ['Ed25519'] })
    if (protectedHeader.typ !== JWS_TYPES.ticket || protectedHeader.kid !== key.kid) return null
    const ticket = ticketSchema.parse(JSON.parse(new TextDecoder().decode(payload)))
    const now = nowMs / 1000
    return now < ticket.exp && ticket.exp - ticket.iat <= TICKET_SECONDS && ticket.iat <= now + 1
      ? ticket
      : null
  } catch {
    return null
  }
}
