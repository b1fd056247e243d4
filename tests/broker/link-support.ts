import { randomUUID } from 'node:crypto'
import { EventEmitter, once } from 'node:events'
import { createServer as createHttp, type IncomingMessage } from 'node:http'
import { createServer, type Server } from 'node:https'
import type { AddressInfo, Socket } from 'node:net'
import { createSecureContext, type SecureContext, type TLSSocket, connect as tlsConnect } from 'node:tls'
import { WebSocket, WebSocketServer } from 'ws'
import { TERMINAL_PROTOCOL, TICKET_PROTOCOL_PREFIX } from '../../broker/contract/terminal.ts'
import { systemClock } from '../../broker/domain/clock.ts'
import type { Principal } from '../../broker/domain/principal.ts'
import { issueServerCertificate, makeSiteCa } from '../../broker/http/site-ca.ts'
import { type Admission, browserUpgrade } from '../../broker/link/browser-upgrade.ts'
import { EvidenceUpload } from '../../broker/link/evidence-upload.ts'
import type { GatewayRow } from '../../broker/link/gateway-rows.ts'
import { createLinkCa, type LinkCa, signGateway } from '../../broker/link/link-authority.ts'
import { type LinkServer, startLinkServer } from '../../broker/link/link-server.ts'
import { SocketRegistry } from '../../broker/link/socket-registry.ts'
import type { SpliceLimits } from '../../broker/link/splice.ts'
import { SpliceDesk } from '../../broker/link/splice-desk.ts'
import { dialSplice } from '../../gateway/edge/dial-splice.ts'

export const SITE = 'sallyport.test'
export const ORIGIN = `https://${SITE}`

export async function gatewayCertificate(
  ca: LinkCa,
  gatewayId: string,
): Promise<{ certificate: string; key: string; fingerprint: string }> {
  const { Pkcs10CertificateRequestGenerator } = await import('@peculiar/x509')
  const algorithm = { name: 'ECDSA', namedCurve: 'P-256', hash: 'SHA-256' }
  const keys = await crypto.subtle.generateKey(algorithm, true, ['sign', 'verify'])
  const csr = await Pkcs10CertificateRequestGenerator.create({
    name: 'CN=x',
    keys,
    signingAlgorithm: algorithm,
  })
  const signed = await signGateway(ca, csr.toString('pem'), gatewayId, Date.now())
  if (!signed) throw new Error('not signed')
  const der = Buffer.from(await crypto.subtle.exportKey('pkcs8', keys.privateKey)).toString('base64')
  const key = `-----BEGIN PRIVATE KEY-----\n${der.match(/.{1,64}/g)?.join('\n')}\n-----END PRIVATE KEY-----\n`
  return { certificate: signed.certificate, key, fingerprint: signed.fingerprint }
}

export const person: Principal = {
  personId: '0190a5d0-0000-7000-8000-000000000001',
  issuer: 'local',
  subject: 'vera',
  name: 'Vera Vendor',
  vendorId: '0190a5d0-0000-7000-8000-000000000002',
  roles: [],
  signInId: '0190a5d0-0000-7000-8000-000000000003',
  method: 'passkey',
  authenticatedAt: Date.now(),
}

export interface SpliceRig {
  session: string
  gateway: string
  webPort: number
  linkPort: number
  siteCa: string
  sockets: SocketRegistry
  desk: SpliceDesk
  /** Browser legs as the web server got them, newest last. */
  browserLegs: Socket[]
  /** The gateway's ends of its legs. */
  gatewayLegs: TLSSocket[]
  /** Sockets of the WebSocket server at the gateway. */
  peers: WebSocket[]
  /** Requests that reached the gateway's inner server without being an upgrade. */
  smuggled: string[]
  upgrades: IncomingMessage[]
  events: EventEmitter
  admit: { answer: Admission; principal: Principal | null; online: boolean; dial: boolean }
  linkContext: SecureContext
  browser(options?: BrowserOptions): Promise<WebSocket>
  raw(): Promise<TLSSocket>
  close(): Promise<void>
}

export interface BrowserOptions {
  origin?: string | null
  path?: string
  headers?: Record<string, string>
  protocols?: string[]
  maxPayload?: number
}

/** Broker's web server and link port in this process, TLS on both legs, and a gateway that echoes. */
export async function spliceRig(limits?: SpliceLimits): Promise<SpliceRig> {
  const ca = await createLinkCa('test', Date.now())
  const gateway = randomUUID().replace(/^(.{14})./, '$17')
  const session = randomUUID().replace(/^(.{14})./, '$17')
  const certificate = await gatewayCertificate(ca, gateway)
  const row: GatewayRow = {
    id: gateway,
    siteId: randomUUID(),
    zoneId: randomUUID(),
    name: 'gw',
    certificate: certificate.fingerprint,
    certificateEndsAt: new Date(),
    signKey: null,
    sealKey: null,
    enrolledAt: new Date(),
    revokedAt: null,
  }
  const desk = new SpliceDesk()
  const errors: unknown[] = []
  const link: LinkServer = await startLinkServer(
    {
      ca,
      clock: systemClock,
      splices: desk,
      directory: {
        find: async (id: string) => (id === gateway ? row : null),
        accepts: (id: string, seen: string) => id === gateway && seen === row.certificate,
      },
      evidence: new EvidenceUpload({} as never),
      accept: () => undefined,
      failed: (error: unknown) => errors.push(error),
    } as never,
    { host: '127.0.0.1', port: 0 },
  )
  const linkContext = createSecureContext({
    ca: ca.certificate,
    cert: certificate.certificate,
    key: certificate.key,
    minVersion: 'TLSv1.3',
  })

  const rig: Pick<
    SpliceRig,
    'browserLegs' | 'gatewayLegs' | 'peers' | 'smuggled' | 'upgrades' | 'events' | 'admit'
  > = {
    browserLegs: [],
    gatewayLegs: [],
    peers: [],
    smuggled: [],
    upgrades: [],
    events: new EventEmitter(),
    admit: { answer: { gateway }, principal: person, online: true, dial: true },
  }
  const inner = createHttp((request, response) => {
    rig.smuggled.push(request.url ?? '')
    response.writeHead(421, { connection: 'close' }).end()
  })
  const wss = new WebSocketServer({
    noServer: true,
    perMessageDeflate: false,
    maxPayload: 128 << 20,
    handleProtocols: () => TERMINAL_PROTOCOL,
  })
  inner.on('upgrade', (request, socket, head) => {
    rig.upgrades.push(request)
    if (request.headers['x-sallyport-ticket'] === 'refuse.me.please') {
      socket.end('HTTP/1.1 403 Forbidden\r\nSet-Cookie: evil=1\r\nContent-Length: 0\r\n\r\n')
      return
    }
    wss.handleUpgrade(request, socket, head, (ws) => {
      rig.peers.push(ws)
      ws.on('error', () => undefined)
      ws.on('message', (data, binary) => ws.send(data, { binary }))
      ws.on('close', (code, reason) => rig.events.emit('peer-closed', code, String(reason)))
      rig.events.emit('peer', ws)
    })
  })

  const siteCa = await makeSiteCa([SITE], Date.now())
  const server = await issueServerCertificate(siteCa, [SITE], Date.now())
  const sockets = new SocketRegistry()
  const web: Server = createServer({ cert: server.certificate, key: server.key }, (_request, response) =>
    response.writeHead(404).end(),
  )
  web.prependListener('upgrade', (_request, socket: Socket) => rig.browserLegs.push(socket))
  web.on(
    'upgrade',
    browserUpgrade({
      origins: [ORIGIN],
      signedIn: async () => rig.admit.principal,
      admit: async () => rig.admit.answer,
      control: () =>
        rig.admit.online
          ? {
              ask: (async (message: { type: string; splice: string }) => {
                if (!rig.admit.dial) return null
                const socket = await dialSplice(
                  `https://127.0.0.1:${link.address.port}`,
                  message.splice,
                  linkContext,
                )
                if (!socket) return { type: 'done', id: 1, ok: false, code: 'no', tookMs: null }
                rig.gatewayLegs.push(socket)
                socket.on('error', () => undefined)
                inner.emit('connection', socket)
                return { type: 'done', id: 1, ok: true, code: null, tookMs: 1 }
              }) as never,
            }
          : null,
      splices: desk,
      sockets,
      ...(limits ? { limits } : {}),
      failed: (error) => errors.push(error),
    }) as never,
  )
  web.listen(0, '127.0.0.1')
  await once(web, 'listening')
  const webPort = (web.address() as AddressInfo).port

  return {
    ...rig,
    session,
    gateway,
    webPort,
    linkPort: link.address.port,
    siteCa: siteCa.certificate,
    sockets,
    desk,
    linkContext,
    browser: (options = {}) =>
      new Promise((resolve, reject) => {
        const ws = new WebSocket(
          `wss://${SITE}:${webPort}${options.path ?? `/ws/sessions/${session}`}`,
          options.protocols ?? [TERMINAL_PROTOCOL, `${TICKET_PROTOCOL_PREFIX}a.b.c`],
          {
            ca: siteCa.certificate,
            servername: SITE,
            host: '127.0.0.1',
            lookup: (_name: string, _options: object, done: (...args: unknown[]) => void) =>
              done(null, [{ address: '127.0.0.1', family: 4 }]),
            perMessageDeflate: false,
            maxPayload: options.maxPayload ?? 128 << 20,
            ...(options.origin === null ? {} : { origin: options.origin ?? ORIGIN }),
            headers: options.headers ?? {},
          } as never,
        )
        ws.on('open', () => resolve(ws))
        ws.on('unexpected-response', (_request, response) => {
          reject(
            Object.assign(new Error(`HTTP ${response.statusCode}`), {
              status: response.statusCode,
              response,
            }),
          )
          response.resume()
        })
        ws.on('error', reject)
      }),
    raw: () =>
      new Promise((resolve, reject) => {
        const socket = tlsConnect(
          { host: '127.0.0.1', port: webPort, ca: siteCa.certificate, servername: SITE },
          () => resolve(socket),
        )
        socket.on('error', reject)
      }),
    async close() {
      for (const socket of [...rig.browserLegs, ...rig.gatewayLegs]) socket.destroy()
      web.closeAllConnections()
      await Promise.all([link.close(), new Promise((resolve) => web.close(resolve))])
      if (errors.length > 0) throw errors[0]
    },
  }
}
