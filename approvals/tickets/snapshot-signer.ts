import { compactVerify, importJWK, type JWK } from 'jose'
import { JWS_TYPES } from '../../broker/domain/grant.ts'
import type { TicketSigner } from '../deps.ts'

/** The part of the broker's signing key that is needed here. */
interface Signer {
  signJws(payload: unknown, typ: string): Promise<string>
  x: string
}

/**
 * Signs stored ticket snapshots with the broker's key, so that a ticket edited in the database is none. After a change
 * of that key, snapshots count again when the ticket is next read.
 */
export function ticketSigner(broker: Signer): TicketSigner {
  const jwk: JWK = { kty: 'OKP', crv: 'Ed25519', x: broker.x }
  return {
    sign: (payload) => broker.signJws(payload, JWS_TYPES.ticketSnapshot),
    async verify(jws) {
      try {
        const { payload, protectedHeader } = await compactVerify(jws, await importJWK(jwk, 'Ed25519'), {
          algorithms: ['Ed25519'],
        })
        if (protectedHeader.typ !== JWS_TYPES.ticketSnapshot) return null
        return JSON.parse(new TextDecoder().decode(payload)) as Record<string, unknown>
      } catch {
        return null
      }
    },
  }
}
