import { constants } from 'node:crypto'
import type { IncomingMessage, ServerResponse } from 'node:http'
import { createServer, type Server } from 'node:https'
import type { AddressInfo, Socket } from 'node:net'
import type { TLSSocket } from 'node:tls'
import { WebSocketServer } from 'ws'
import {
  CONTROL_MESSAGE_LIMIT,
  CONTROL_PROTOCOL,
  EnrolRequest,
  EVIDENCE_PATH,
  SPLICE_UPGRADE,
} from '../contract/link.ts'
import type { Clock } from '../domain/clock.ts'
import { Failure } from '../domain/failure.ts'
import { isId } from '../domain/ids.ts'
import { unavailable } from '../store/sql.ts'
import { ControlConnection, type ControlHandlers } from './control.ts'
import { type EnrolDeps, enrol } from './enrol.ts'
import type { EvidenceUpload } from './evidence-upload.ts'
import type { GatewayDirectory } from './gateway-directory.ts'
import type { GatewayRow } from './gateway-rows.ts'
import { refuseUpgrade } from './handshake.ts'
import { serverCredentials } from './link-authority.ts'
import { readJson, sendJson } from './plain-http.ts'
import type { SpliceDesk } from './splice-desk.ts'

const ENROL_BODY_LIMIT = 32 * 1024
/** Enrolment needs no certificate, and the server itself has no time-out for bodies. */
const ENROL_BODY_MS = 10_000
/** Enrolment attempts per address and minute: a token can't be guessed, but each attempt costs a transaction. */
const ENROL_PER_MINUTE = 20
const CONNECTION_LIMIT = 4_000

export interface LinkServerDeps extends EnrolDeps {
  clock: Clock
  directory: GatewayDirectory
  evidence: EvidenceUpload
  splices: SpliceDesk
  /** A gateway with a valid certificate has opened its control connection. */
  accept(
    gateway: GatewayRow,
    certificate: string,
    connect: (handlers: ControlHandlers) => ControlConnection,
  ): void
  failed(error: unknown): void
}

export interface LinkServer {
  readonly address: AddressInfo
  close(): Promise<void>
}

/**
 * The link port: TLS 1.3 only, certificates by the link CA on both sides (enrolment alone comes without one). The
 * gateway's certificate must be the very one of its last enrolment, so a rotation or revocation puts former ones out
 * of use at once.
 */
export async function startLinkServer(
  deps: LinkServerDeps,
  bind: { host: string; port: number },
): Promise<LinkServer> {
  const own = await serverCredentials(deps.ca, deps.clock.wall())
  const server = createServer({
    cert: own.certificate,
    key: own.key.reveal(),
    ca: deps.ca.certificate,
    requestCert: true,
    // Checked per route: enrolment has no certificate yet.
    rejectUnauthorized: false,
    minVersion: 'TLSv1.3',
    // A resumed session would carry the peer's certificate of an earlier handshake.
    secureOptions: constants.SSL_OP_NO_TICKET,
    handshakeTimeout: 10_000,
    headersTimeout: 10_000,
    // An upload over a thin line takes its time; it has a stall limit of its own.
    requestTimeout: 0,
    keepAliveTimeout: 30_000,
    maxHeaderSize: 16 * 1024,
  })
  server.maxConnections = CONNECTION_LIMIT
  const sockets = new WebSocketServer({
    noServer: true,
    perMessageDeflate: false,
    maxPayload: CONTROL_MESSAGE_LIMIT,
    handleProtocols: (offered) => (offered.has(CONTROL_PROTOCOL) ? CONTROL_PROTOCOL : false),
  })
  const link = new Link(deps, sockets)
  server.on('request', (request, response) => void link.request(request, response))
  server.on('upgrade', (request, socket, head) => void link.upgrade(request, socket as Socket, head))
  server.on('tlsClientError', () => undefined)
  server.on('clientError', (_error, socket) => socket.destroy())
  await listen(server, bind)
  const renewal = renewCertificate(server, deps)
  return {
    address: server.address() as AddressInfo,
    async close() {
      clearInterval(renewal)
      for (const client of sockets.clients) client.terminate()
      server.closeAllConnections()
      await new Promise<void>((resolve) => server.close(() => resolve()))
    },
  }
}

class Link {
  readonly #deps: LinkServerDeps
  readonly #sockets: WebSocketServer
  readonly #attempts = new Map<string, number>()
  #attemptsSince = 0

  constructor(deps: LinkServerDeps, sockets: WebSocketServer) {
    this.#deps = deps
    this.#sockets = sockets
  }

  async request(request: IncomingMessage, response: ServerResponse): Promise<void> {
    request.on('error', () => undefined)
    response.on('error', () => undefined)
    try {
      if (request.method === 'POST' && request.url === '/link/v1/enrol')
        return await this.#enrol(request, response)
      const caller = await this.#caller(request)
      if (!caller) return sendJson(response, 401, { code: 'no-gateway-certificate' })
      if (request.method === 'PUT' && request.url?.startsWith(`${EVIDENCE_PATH}/`))
        return await this.#deps.evidence.handle(caller.gateway.id, request, response)
      sendJson(response, 404, { code: 'not-found' })
    } catch (error) {
      if (error instanceof Failure)
        return sendJson(response, error.status, {
          code: error.code,
          message: error.message,
          next: error.next,
        })
      if (unavailable(error)) return sendJson(response, 503, { code: 'database-unavailable' })
      this.#deps.failed(error)
      sendJson(response, 500, { code: 'internal' })
    }
  }

  async upgrade(request: IncomingMessage, socket: Socket, head: Buffer): Promise<void> {
    socket.on('error', () => undefined)
    try {
      const caller = await this.#caller(request)
      if (!caller) return refuseUpgrade(socket, 401, 'no-gateway-certificate')
      if (request.method !== 'GET' || head.length > 0) return refuseUpgrade(socket, 400, 'bad-upgrade')
      const { upgrade, 'sec-websocket-protocol': protocol } = request.headers
      if (request.url === '/link/v1/control' && upgrade?.toLowerCase() === 'websocket') {
        if (protocol !== CONTROL_PROTOCOL) return refuseUpgrade(socket, 426, 'control-protocol')
        socket.setTimeout(0)
        socket.setNoDelay(true)
        this.#sockets.handleUpgrade(request, socket, head, (ws) => {
          this.#deps.accept(
            caller.gateway,
            caller.certificate,
            (handlers) => new ControlConnection(ws, handlers),
          )
        })
        return
      }
      const splice = /^\/link\/v1\/splice\/([0-9a-f-]{36})$/.exec(request.url ?? '')?.[1]
      if (splice && isId(splice) && upgrade === SPLICE_UPGRADE) {
        if (!this.#deps.splices.arrive(splice, caller.gateway.id, socket))
          refuseUpgrade(socket, 404, 'no-such-splice')
        return
      }
      refuseUpgrade(socket, 404, 'not-found')
    } catch (error) {
      if (!unavailable(error)) this.#deps.failed(error)
      refuseUpgrade(socket, 503, 'unavailable')
    }
  }

  /** The gateway whose present certificate this connection showed; null for anybody else. */
  async #caller(request: IncomingMessage): Promise<{ gateway: GatewayRow; certificate: string } | null> {
    const socket = request.socket as TLSSocket
    if (!socket.authorized) return null
    const peer = socket.getPeerCertificate()
    const id = peer.subject?.CN
    const certificate = peer.fingerprint256?.replaceAll(':', '').toLowerCase()
    if (typeof id !== 'string' || !isId(id) || !certificate) return null
    const gateway = await this.#deps.directory.find(id)
    return gateway && this.#deps.directory.accepts(id, certificate) ? { gateway, certificate } : null
  }

  async #enrol(request: IncomingMessage, response: ServerResponse): Promise<void> {
    const source = request.socket.remoteAddress ?? ''
    if (!this.#mayTry(source)) {
      response.setHeader('retry-after', '60')
      return sendJson(response, 429, { code: 'too-many' })
    }
    const deadline = setTimeout(() => request.destroy(), ENROL_BODY_MS)
    deadline.unref()
    const sent = await readJson(request, ENROL_BODY_LIMIT).finally(() => clearTimeout(deadline))
    const body = EnrolRequest.safeParse(sent)
    if (!body.success) return sendJson(response, 400, { code: 'bad-enrolment' })
    sendJson(response, 200, await enrol(this.#deps, body.data, source))
  }

  #mayTry(source: string): boolean {
    const now = this.#deps.clock.monotonic()
    if (now - this.#attemptsSince > 60_000 || this.#attempts.size > 10_000) {
      this.#attempts.clear()
      this.#attemptsSince = now
    }
    const count = (this.#attempts.get(source) ?? 0) + 1
    this.#attempts.set(source, count)
    return count <= ENROL_PER_MINUTE
  }
}

function listen(server: Server, bind: { host: string; port: number }): Promise<void> {
  return new Promise((resolve, reject) => {
    server.once('error', reject)
    server.listen(bind.port, bind.host, () => {
      server.off('error', reject)
      resolve()
    })
  })
}

/** The port's own certificate is short-lived; a broker that runs for months makes a new one in time. */
function renewCertificate(server: Server, deps: LinkServerDeps): NodeJS.Timeout {
  const timer = setInterval(() => {
    serverCredentials(deps.ca, deps.clock.wall())
      .then((own) =>
        server.setSecureContext({
          cert: own.certificate,
          key: own.key.reveal(),
          ca: deps.ca.certificate,
          minVersion: 'TLSv1.3',
          secureOptions: constants.SSL_OP_NO_TICKET,
        }),
      )
      .catch((error) => deps.failed(error))
  }, 7 * 86_400_000)
  timer.unref()
  return timer
}
