import { CompactSign, calculateJwkThumbprint, exportJWK, generateKeyPair, type JWK } from 'jose'
import { TICKET_FILE_TYPE } from '../../approvals/tickets/ticket-file.ts'
import type { TicketState } from '../../broker/domain/words.ts'

export interface LabTicket {
  key: string
  title: string
  state: TicketState
  plannedStart: string | null
  plannedEnd: string | null
  items: string[]
  link: string | null
}

/** The customer's export job: signs the list of changes with its own key. */
export interface TicketSigner {
  jwk: JWK
  sign(tickets: readonly LabTicket[]): Promise<string>
}

export async function newTicketSigner(now: () => number = Date.now): Promise<TicketSigner> {
  const { publicKey, privateKey } = await generateKeyPair('Ed25519', { extractable: true })
  const jwk = await exportJWK(publicKey)
  const kid = await calculateJwkThumbprint(jwk)
  return {
    jwk,
    sign: (tickets) =>
      new CompactSign(new TextEncoder().encode(JSON.stringify({ v: 1, tickets })))
        .setProtectedHeader({
          alg: 'Ed25519',
          typ: TICKET_FILE_TYPE,
          cty: 'application/json',
          kid,
          iat: Math.floor(now() / 1000),
        })
        .sign(privateKey),
  }
}
