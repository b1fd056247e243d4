import { createHash } from 'node:crypto'
import type { IncomingMessage } from 'node:http'
import type { Socket } from 'node:net'
import { TICKET_HEADER } from '../contract/link.ts'
import { type Clock, systemClock } from '../domain/clock.ts'
import { isId, newId } from '../domain/ids.ts'
import type { Principal } from '../domain/principal.ts'
import { RateLimiter } from '../http/rate-limit.ts'
import type { ControlConnection } from './control.ts'
import { freshAnswer, freshRequest, readAnswer, readHandshake, refuseUpgrade } from './handshake.ts'
import type { SocketRegistry } from './socket-registry.ts'
import { SPLICE_LIMITS, type SpliceLimits, splice } from './splice.ts'
import type { SpliceDesk } from './splice-desk.ts'

/** From the browser's upgrade to the gateway's dialled connection, and from there to its answer. */
const DIAL_MS = 5_000
const ANSWER_MS = 5_000
const SOCKETS_PER_PERSON = 20
/** Upgrades per address before anything is looked up: they pass no route and none of its limits (threat 30). */
const PER_ADDRESS = { burst: 500, perSecond: 50 }
/** And per person: a used ticket that is shown again is an entry in the log each time. */
const PER_PERSON = { burst: 60, perSecond: 1 }

export type Admission = { gateway: string } | { status: 401 | 403 | 404 | 409 | 503; code: string }

export interface BrowserUpgradeDeps {
  /** Exact values of `Origin` that may open a socket (threat 18). */
  origins: readonly string[]
  /** Who the cookie belongs to, now. */
  signedIn(request: IncomingMessage): Promise<Principal | null>
  /** Checks the ticket (signature, session, person, expiry) and whether the person may use this session. */
  admit(principal: Principal, session: string, ticket: string): Promise<Admission>
  control(gateway: string): Pick<ControlConnection, 'ask'> | null
  splices: SpliceDesk
  sockets: SocketRegistry
  limits?: SpliceLimits
  clock?: Clock
  failed(error: unknown): void
}

/**
 * Ends a browser's WebSocket upgrade here and writes a fresh one to a connection that the gateway dials for it. The
 * listener for the web server's `upgrade` event: every other path is refused too.
 */
export function browserUpgrade(
  deps: BrowserUpgradeDeps,
): (request: IncomingMessage, socket: Socket, head: Buffer) => void {
  const clock = deps.clock ?? systemClock
  const rates: Rates = {
    address: new RateLimiter(PER_ADDRESS, clock),
    person: new RateLimiter(PER_PERSON, clock),
  }
  return (request, socket, head) => {
    socket.on('error', () => undefined)
    // The web server's own time-outs must not cut a quiet session.
    socket.setTimeout(0)
    socket.setNoDelay(true)
    upgrade(deps, rates, request, socket, head).catch((error) => {
      deps.failed(error)
      refuseUpgrade(socket, 503, 'unavailable')
    })
  }
}

interface Rates {
  address: RateLimiter
  person: RateLimiter
}

async function upgrade(
  deps: BrowserUpgradeDeps,
  rates: Rates,
  request: IncomingMessage,
  socket: Socket,
  head: Buffer,
): Promise<void> {
  const session = /^\/ws\/sessions\/([0-9a-f-]{36})$/.exec(request.url ?? '')?.[1]
  if (!session || !isId(session)) return refuseUpgrade(socket, 404, 'not-found')
  if (!deps.origins.includes(request.headers.origin ?? ''))
    return refuseUpgrade(socket, 403, 'foreign-origin')
  const read = readHandshake(request, head)
  if (!read.ok) return refuseUpgrade(socket, 400, read.refusal)
  if (rates.address.take(socket.remoteAddress ?? '') > 0) return refuseUpgrade(socket, 429, 'rate-limited')
  const principal = await deps.signedIn(request)
  if (!principal) return refuseUpgrade(socket, 401, 'not-signed-in')
  if (rates.person.take(principal.personId) > 0) return refuseUpgrade(socket, 429, 'rate-limited')
  const admission = await deps.admit(principal, session, read.handshake.ticket)
  if ('status' in admission) return refuseUpgrade(socket, admission.status, admission.code)
  if (deps.sockets.countOf(principal.personId) >= SOCKETS_PER_PERSON)
    return refuseUpgrade(socket, 429, 'too-many-sockets')
  const control = deps.control(admission.gateway)
  if (!control) return refuseUpgrade(socket, 503, 'gateway-offline')

  // Registered before anything is awaited: a revocation that comes meanwhile closes it too.
  let close: () => void = () => socket.destroy()
  const forget = deps.sockets.add({
    session,
    person: principal.personId,
    signIn: principal.signInId,
    close: () => close(),
  })
  socket.once('close', forget)

  const id = newId()
  const waiting = deps.splices.await(id, admission.gateway, DIAL_MS)
  void control.ask({ type: 'dial', splice: id, session }, DIAL_MS).then((done) => {
    if (done && !done.ok) waiting.cancel()
  })
  const gateway = await waiting.socket
  if (!gateway) return refuseUpgrade(socket, 504, 'gateway-did-not-dial')
  gateway.on('error', () => undefined)
  if (socket.destroyed) {
    gateway.destroy()
    return
  }
  close = () => {
    socket.destroy()
    gateway.destroy()
  }
  const dropGateway = () => void gateway.destroy()
  socket.once('close', dropGateway)
  gateway.setNoDelay(true)
  gateway.write(freshRequest(session, read.handshake, TICKET_HEADER))
  const answer = await readAnswer(gateway, ANSWER_MS)
  if (answer?.status !== 101 || answer.accept !== acceptOf(read.handshake.key) || socket.destroyed) {
    gateway.destroy()
    return refuseUpgrade(socket, answer?.status === 403 ? 403 : 502, 'gateway-refused')
  }
  socket.write(freshAnswer(answer))
  socket.off('close', dropGateway)
  void splice(socket, gateway, deps.limits ?? SPLICE_LIMITS)
}

/** RFC 6455 section 4.2.2. */
function acceptOf(key: string): string {
  return createHash('sha1').update(`${key}258EAFA5-E914-47DA-95CA-C5AB0DC85B11`).digest('base64')
}
