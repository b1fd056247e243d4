import { createServer, type IncomingMessage, type Server } from 'node:http'
import type { Duplex } from 'node:stream'
import { WebSocketServer } from 'ws'
import { TICKET_HEADER } from '../../broker/contract/link.ts'
import { TERMINAL_PROTOCOL } from '../../broker/contract/terminal.ts'
import type { SessionTicket } from '../../broker/domain/grant.ts'
import type { Browser } from '../session/browser.ts'
import { type Authority, TicketDesk } from './tokens.ts'
import { type Heartbeat, INPUT_FRAME_LIMIT, WebSocketBrowser } from './web-socket-browser.ts'

/** From the splice being dialled to the WebSocket being open: an HTTP server that never listens has no time-outs. */
const UPGRADE_DEADLINE_MS = 10_000

export interface Door {
  refusal(ticket: SessionTicket): string | null
  attach(browser: Browser, ticket: SessionTicket): void
}

export interface EdgeDeps {
  authority(): Authority
  session(id: string): Door | null
  /** Each is an event: who knocks with what. */
  refused(session: string, code: string): void
  heartbeat?: Heartbeat
}

/**
 * The gateway's end of the splice: an HTTP server that listens nowhere and is fed sockets that this gateway dialled
 * itself. It serves one WebSocket upgrade a socket, to a valid ticket for exactly the session the socket was dialled
 * for; everything else on it ends the socket.
 */
export class InnerServer {
  readonly #deps: EdgeDeps
  readonly #desk = new TicketDesk()
  readonly #server: Server
  readonly #sockets = new WebSocketServer({
    noServer: true,
    perMessageDeflate: false,
    maxPayload: INPUT_FRAME_LIMIT,
    clientTracking: false,
    handleProtocols: (offered) => (offered.has(TERMINAL_PROTOCOL) ? TERMINAL_PROTOCOL : false),
  })
  readonly #expected = new WeakMap<Duplex, { session: string; deadline: NodeJS.Timeout; used: boolean }>()

  constructor(deps: EdgeDeps) {
    this.#deps = deps
    this.#server = createServer(
      { maxHeaderSize: 16 * 1024, insecureHTTPParser: false },
      (request, response) => {
        // Not an upgrade: whatever it is, it is not for here.
        response.writeHead(421, { connection: 'close' }).end()
        request.socket.destroySoon()
      },
    )
    // Without this listener a second request on the socket would reach the handler above unseen by the ticket check.
    this.#server.on('upgrade', (request, socket, head) => void this.#upgrade(request, socket, head))
    this.#server.on('clientError', (_error, socket) => socket.destroy())
    this.#server.on('connect', (_request, socket) => socket.destroy())
  }

  /** Takes a spliced socket that was dialled for `session`. */
  accept(socket: Duplex, session: string): void {
    socket.on('error', () => {})
    const deadline = setTimeout(() => socket.destroy(), UPGRADE_DEADLINE_MS)
    socket.once('close', () => clearTimeout(deadline))
    this.#expected.set(socket, { session, deadline, used: false })
    this.#server.emit('connection', socket)
  }

  async #upgrade(request: IncomingMessage, socket: Duplex, head: Buffer): Promise<void> {
    const expected = this.#expected.get(socket)
    if (!expected || expected.used) {
      socket.destroy()
      return
    }
    expected.used = true
    const { session } = expected
    const refuse = (code: string) => {
      this.#deps.refused(session, code)
      answer(socket, code)
    }
    // Frames before our answer are no browser's.
    if (head.length > 0) return refuse('early-bytes')
    const jws = request.headers[TICKET_HEADER]
    if (typeof jws !== 'string' || jws.length > 8192) return refuse('bad-ticket')
    const redeemed = await this.#desk.redeem(jws, this.#deps.authority(), session)
    if (!redeemed.ok) return refuse(redeemed.code)
    const door = this.#deps.session(session)
    const code = door ? door.refusal(redeemed.value) : 'no-such-session'
    if (!door || code) return refuse(code ?? 'no-such-session')
    if (socket.destroyed) return
    this.#sockets.handleUpgrade(request, socket, head, (ws) => {
      clearTimeout(expected.deadline)
      door.attach(new WebSocketBrowser(ws, this.#deps.heartbeat), redeemed.value)
    })
  }
}

function answer(socket: Duplex, code: string): void {
  const body = JSON.stringify({ code })
  socket.end(
    `HTTP/1.1 403 Forbidden\r\nConnection: close\r\nContent-Type: application/json\r\nContent-Length: ${Buffer.byteLength(body)}\r\n\r\n${body}`,
  )
  socket.once('finish', () => socket.destroy())
  setTimeout(() => socket.destroy(), 2000).unref()
}
