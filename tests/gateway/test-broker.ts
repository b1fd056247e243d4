import { createHash, generateKeyPairSync, type KeyObject, randomUUID } from 'node:crypto'
import { createServer as createHttpServer, type Server } from 'node:http'
import { createServer as createHttpsServer } from 'node:https'
import type { AddressInfo, Socket } from 'node:net'
import { TLSSocket } from 'node:tls'
import { CompactEncrypt, importJWK } from 'jose'
import { WebSocket, WebSocketServer } from 'ws'
import {
  CONTROL_PROTOCOL,
  type CredentialPayload,
  EnrolRequest,
  EVIDENCE_PATH,
  type GatewayEvent,
  TICKET_HEADER,
} from '../../broker/contract/link.ts'
import {
  TERMINAL_PROTOCOL,
  type TerminalDown,
  TICKET_PROTOCOL_PREFIX,
} from '../../broker/contract/terminal.ts'
import {
  type Grant,
  type JsonWebKeyPublic,
  JWS_TYPES,
  type Lease,
  type SessionTicket,
} from '../../broker/domain/grant.ts'
import { DEFAULT_ENDING } from '../../broker/domain/words.ts'
import { type AskAnswer, ControlConnection, type Health, type Hello } from '../../broker/link/control.ts'
import { newEnrolmentToken } from '../../broker/link/enrolment-token.ts'
import {
  freshAnswer,
  freshRequest,
  readAnswer,
  readHandshake,
  refuseUpgrade,
} from '../../broker/link/handshake.ts'
import {
  caFingerprint,
  createLinkCa,
  type LinkCa,
  serverCredentials,
  signGateway,
} from '../../broker/link/link-authority.ts'
import { type SpliceLimits, splice } from '../../broker/link/splice.ts'
import { SpliceDesk } from '../../broker/link/splice-desk.ts'
import { decodeJws, jwsHash, signJws } from '../../recordings/format/jws.ts'
import { manifest as manifestSchema } from '../../recordings/format/manifest.ts'
import type { LabSshd } from '../lab/openssh.ts'
import { until } from '../lab/until.ts'

/**
 * A broker for the gateway's tests: it speaks the link contract and signs what it is told to, with no rules of its
 * own, so that a test can hand the gateway anything.
 */
export class TestBroker {
  gateway: string = randomUUID()
  deployment: string = randomUUID()
  site = { id: randomUUID() as string, name: 'Werk Nord' }
  signing = ed25519()
  readonly replay = p256()
  readonly input = p256()
  readonly escrow = p256()
  readonly events: GatewayEvent[] = []
  /** Of each event, the earlier run that wrote it. */
  readonly boots: (string | null)[] = []
  /** While true, events are taken and their acknowledgements get lost. */
  forgetsToAnswer = false
  readonly evidence = new Map<string, Buffer>()
  readonly receipts = new Map<string, string>()
  readonly spliceHeads: string[] = []
  readonly spliced: { browser: Socket; gateway: Socket }[] = []
  /** What the next credential fetches get. */
  credential: ((ask: { session: string; grant: string }) => Promise<CredentialPayload | string>) | null = null
  credentialsAsked = 0
  /** While true, events are kept back from being acknowledged. */
  deaf = false
  /** While true, evidence is refused with 503. */
  storeDown = false
  limits: SpliceLimits = { idleMs: 60_000, lingerMs: 200 }
  control: ControlConnection | null = null
  hello: Hello | null = null
  health: Health | null = null
  sealKey: JsonWebKeyPublic | null = null
  gatewaySignKey = ''
  url = ''
  browserUrl = ''
  token = ''
  #ca!: LinkCa
  #link!: Server
  #front!: Server
  #desk = new SpliceDesk()
  readonly #sockets = new Set<Socket>()
  #linkCredentials!: { certificate: string; key: string }

  /** `beside`: a second broker of the same deployment. */
  static async start(beside?: TestBroker): Promise<TestBroker> {
    const broker = new TestBroker()
    if (beside) {
      const { gateway, deployment, site, signing, sealKey, gatewaySignKey } = beside
      Object.assign(broker, { gateway, deployment, site, signing, sealKey, gatewaySignKey })
    }
    broker.#ca = beside ? beside.#ca : await createLinkCa(broker.deployment, Date.now())
    const server = await serverCredentials(broker.#ca, Date.now())
    broker.#linkCredentials = { certificate: server.certificate, key: server.key.reveal() }
    broker.token = newEnrolmentToken(caFingerprint(broker.#ca.certificate)).token
    await broker.listen(0)
    broker.#front = createHttpServer((_request, response) => response.writeHead(404).end())
    broker.#front.on(
      'upgrade',
      (request, socket, head) => void broker.#browser(request, socket as Socket, head),
    )
    await new Promise<void>((done) => broker.#front.listen(0, '127.0.0.1', done))
    broker.browserUrl = `ws://127.0.0.1:${(broker.#front.address() as AddressInfo).port}`
    return broker
  }

  async listen(port: number): Promise<void> {
    this.#link = createHttpsServer({
      key: this.#linkCredentials.key,
      cert: this.#linkCredentials.certificate,
      ca: this.#ca.certificate,
      requestCert: true,
      rejectUnauthorized: false,
      minVersion: 'TLSv1.3',
    })
    const controls = new WebSocketServer({
      noServer: true,
      perMessageDeflate: false,
      handleProtocols: () => CONTROL_PROTOCOL,
    })
    this.#link.on('connection', (socket: Socket) => {
      this.#sockets.add(socket)
      socket.on('close', () => this.#sockets.delete(socket))
    })
    this.#link.on('upgrade', (request, socket, head) => {
      if (!(socket instanceof TLSSocket) || !socket.authorized) {
        socket.destroy()
        return
      }
      if (request.url === '/link/v1/control') {
        controls.handleUpgrade(request, socket, head, (ws) => this.#controlled(ws))
        return
      }
      const id = /^\/link\/v1\/splice\/([0-9a-f-]{36})$/.exec(request.url ?? '')?.[1]
      if (!id || head.length > 0 || !this.#desk.arrive(id, this.gateway, socket)) socket.destroy()
    })
    this.#link.on('request', (request, response) => {
      const chunks: Buffer[] = []
      request.on('data', (chunk: Buffer) => chunks.push(chunk))
      request.on('end', () => {
        void this.#answer(
          request.method ?? '',
          request.url ?? '',
          Buffer.concat(chunks),
          request.headers,
        ).then((answer) => {
          response.writeHead(answer.status, { 'content-type': 'text/plain' })
          response.end(answer.body)
        })
      })
    })
    await new Promise<void>((done) => this.#link.listen(port, '127.0.0.1', done))
    this.url = `https://127.0.0.1:${(this.#link.address() as AddressInfo).port}`
  }

  /** The link port goes away with every connection on it; `listen(port)` brings it back. */
  async cutLink(): Promise<number> {
    const { port } = this.#link.address() as AddressInfo
    for (const socket of this.#sockets) socket.destroy()
    await new Promise((done) => this.#link.close(done))
    this.control = null
    return port
  }

  async stop(): Promise<void> {
    for (const { browser, gateway } of this.spliced) {
      browser.destroy()
      gateway.destroy()
    }
    for (const socket of this.#sockets) socket.destroy()
    await new Promise((done) => this.#link.close(done))
    this.#front.closeAllConnections()
    await new Promise((done) => this.#front.close(done))
  }

  brokerKeys() {
    return [{ kty: 'OKP', crv: 'Ed25519', x: this.signing.x, kid: this.signing.kid }]
  }

  grant(lab: LabSshd | null, change: Partial<Grant> = {}): Grant {
    const now = Math.floor(Date.now() / 1000)
    const session = randomUUID()
    return {
      v: 1,
      jti: randomUUID(),
      serial: 1,
      iat: now,
      exp: now + 3600,
      deployment: this.deployment,
      session,
      recording: randomUUID(),
      gateway: this.gateway,
      site: { ...this.site, timeZone: 'Europe/Berlin' },
      asset: { id: randomUUID(), name: 'Boiler 3 HMI', criticality: 'C4', hash: 'a'.repeat(64) },
      endpoint: randomUUID(),
      protocol: 'ssh',
      address: { host: lab?.host ?? '127.0.0.1', port: lab?.port ?? 1 },
      identities: lab?.fingerprints ?? [
        { algorithm: 'ssh-ed25519', fingerprint: `SHA256:${'A'.repeat(43)}` },
      ],
      account: lab?.user ?? 'nobody',
      features: [],
      viewOnly: false,
      person: { id: randomUUID(), pseudonym: 'p-1', name: 'Vera Vendor', company: 'Acme Drives' },
      request: { id: randomUUID(), version: 1, ticketKey: 'CHG-1', purpose: 'test' },
      snapshotHash: 'b'.repeat(64),
      approvals: ['c'.repeat(64)],
      policyHash: 'd'.repeat(64),
      ending: DEFAULT_ENDING.C4,
      idleSeconds: 0,
      browserHoldSeconds: 120,
      recordingKeys: { replay: this.replay, input: this.input, escrow: this.escrow },
      ...change,
    }
  }

  async sign(typ: string, payload: unknown, by = this.signing): Promise<string> {
    return await signJws(payload, typ, by.kid, by.privateKey)
  }

  lease(grant: Grant, seconds = 60): Lease {
    const now = Math.floor(Date.now() / 1000)
    return {
      v: 1,
      session: grant.session,
      grant: grant.jti,
      serial: grant.serial,
      iat: now,
      exp: now + seconds,
    }
  }

  ticket(grant: Grant, use: SessionTicket['use'], change: Partial<SessionTicket> = {}): SessionTicket {
    const now = Math.floor(Date.now() / 1000)
    return {
      v: 1,
      jti: randomUUID(),
      iat: now,
      exp: now + 30,
      session: grant.session,
      gateway: this.gateway,
      person: grant.person.id,
      personName: grant.person.name,
      use,
      ...change,
    }
  }

  async open(grant: Grant): Promise<AskAnswer | null> {
    return await this.openRaw(
      await this.sign(JWS_TYPES.grant, grant),
      await this.sign(JWS_TYPES.lease, this.lease(grant)),
    )
  }

  async openRaw(grant: string, lease: string) {
    await until(() => this.control !== null, 'control connection')
    return await this.control!.ask({ type: 'open', grant, lease }, 10_000)
  }

  async renew(grant: Grant, next: Grant | null = null, seconds = 60): Promise<void> {
    const inForce = next ?? grant
    this.control!.send({
      type: 'lease',
      session: grant.session,
      lease: await this.sign(JWS_TYPES.lease, this.lease(inForce, seconds)),
      grant: next ? await this.sign(JWS_TYPES.grant, next) : null,
    })
  }

  async command(
    grant: Grant,
    command: 'hold' | 'release' | 'stop' | 'end' | 'revoke' | 'leave',
    end: 'operator-stopped' | 'window-closed' | 'identity-revoked' | 'vendor-left' = 'operator-stopped',
  ) {
    return await this.control!.ask(
      { type: 'command', session: grant.session, command, end, by: 'Olga Operator', cause: 'crane moving' },
      10_000,
    )
  }

  /** A browser of the grant's person (or as the ticket says), through the splice. */
  async browser(
    grant: Grant,
    use: SessionTicket['use'],
    change: Partial<SessionTicket> = {},
    onBytes?: (browser: TestBrowser, bytes: Buffer) => void,
  ): Promise<TestBrowser> {
    const ticket = await this.sign(JWS_TYPES.ticket, this.ticket(grant, use, change))
    return await this.browserWith(grant, ticket, onBytes)
  }

  /** `onBytes` misses none, not even those that come with the opening. */
  async browserWith(
    grant: Grant,
    ticket: string,
    onBytes?: (browser: TestBrowser, bytes: Buffer) => void,
  ): Promise<TestBrowser> {
    const ws = new WebSocket(
      `${this.browserUrl}/ws/sessions/${grant.session}`,
      [TERMINAL_PROTOCOL, `${TICKET_PROTOCOL_PREFIX}${ticket}`],
      { perMessageDeflate: false, headers: { cookie: 'sid=secret-cookie', authorization: 'Bearer x' } },
    )
    return await TestBrowser.over(ws, onBytes)
  }

  async passwordOf(lab: Pick<LabSshd, 'user' | 'password'>, password = lab.password): Promise<void> {
    this.credential = async (ask) => ({
      kind: 'password',
      grant: ask.grant,
      gateway: this.gateway,
      session: ask.session,
      exp: Math.floor(Date.now() / 1000) + 30,
      account: lab.user,
      password,
    })
  }

  eventsOf<K extends GatewayEvent['kind']>(kind: K, session?: string): (GatewayEvent & { kind: K })[] {
    return this.events.filter(
      (event): event is GatewayEvent & { kind: K } =>
        event.kind === kind && (session === undefined || ('session' in event && event.session === session)),
    )
  }

  /** Whether output of this session is on the gateway's disk: only such heads are anchored. */
  anchored(grant: Grant): boolean {
    return this.eventsOf('anchor').some((event) =>
      event.heads.some(
        (head) => head.recording === grant.recording && head.stream === 'screen' && head.seq > 0,
      ),
    )
  }

  async closed(grant: Grant, withinMs = 10_000): Promise<GatewayEvent & { kind: 'session-closed' }> {
    await until(() => this.eventsOf('session-closed', grant.session).length > 0, 'session-closed', withinMs)
    return this.eventsOf('session-closed', grant.session)[0]!
  }

  #controlled(ws: WebSocket): void {
    const control: ControlConnection = new ControlConnection(ws, {
      stillAccepted: () => true,
      hello: (hello) => {
        this.hello = hello
        this.control = control
        control.send({
          type: 'welcome',
          gateway: this.gateway,
          wall: Date.now(),
          brokerKeys: this.brokerKeys(),
        })
      },
      event: (seq, event, boot) => {
        if (this.deaf) return
        this.events.push(event)
        this.boots.push(boot)
        if (!this.forgetsToAnswer) control.send({ type: 'event-ack', seq })
      },
      credential: (ask) => void this.#sealed(control, ask),
      health: (health) => {
        this.health = health
      },
      closed: () => {
        if (this.control === control) this.control = null
      },
    })
  }

  async #sealed(
    control: ControlConnection,
    ask: { id: number; grant: string; session: string },
  ): Promise<void> {
    this.credentialsAsked += 1
    const payload = this.credential ? await this.credential(ask) : 'no-credential'
    if (typeof payload === 'string') {
      control.send({ type: 'credential', id: ask.id, ok: false, code: payload, jwe: null })
      return
    }
    const key = await importJWK({ ...this.sealKey! }, 'ECDH-ES+A256KW')
    const jwe = await new CompactEncrypt(new TextEncoder().encode(JSON.stringify(payload)))
      .setProtectedHeader({ alg: 'ECDH-ES+A256KW', enc: 'A256GCM' })
      .encrypt(key)
    control.send({ type: 'credential', id: ask.id, ok: true, code: null, jwe })
  }

  async #browser(request: import('node:http').IncomingMessage, socket: Socket, head: Buffer): Promise<void> {
    const read = readHandshake(request, head)
    const session = /^\/ws\/sessions\/([0-9a-f-]{36})$/.exec(request.url ?? '')?.[1]
    if (!read.ok || !session || !this.control)
      return refuseUpgrade(socket, 400, read.ok ? 'bad-path' : read.refusal)
    const id = randomUUID()
    const waiting = this.#desk.await(id, this.gateway, 5000)
    const [answer, gateway] = await Promise.all([
      this.control.ask({ type: 'dial', splice: id, session }, 5000).then((done) => {
        if (!done?.ok) waiting.cancel()
        return done
      }),
      waiting.socket,
    ])
    if (!gateway) return refuseUpgrade(socket, 503, answer?.code ?? 'no-gateway')
    const fresh = freshRequest(session, read.handshake, TICKET_HEADER)
    this.spliceHeads.push(fresh)
    gateway.write(fresh)
    const accepted = await readAnswer(gateway, 5000)
    if (accepted?.status !== 101) {
      gateway.destroy()
      return refuseUpgrade(socket, accepted?.status === 403 ? 403 : 502, 'refused-by-gateway')
    }
    socket.write(freshAnswer(accepted))
    this.spliced.push({ browser: socket, gateway })
    splice(socket, gateway, this.limits)
  }

  async #answer(
    method: string,
    url: string,
    body: Buffer,
    headers: import('node:http').IncomingHttpHeaders,
  ): Promise<{ status: number; body: string }> {
    if (method === 'POST' && url === '/link/v1/enrol') return await this.#enrol(body)
    if (method !== 'PUT' || !url.startsWith(EVIDENCE_PATH)) return { status: 404, body: '{}' }
    if (this.storeDown) return { status: 503, body: '{"code":"busy"}' }
    const path = url.slice(EVIDENCE_PATH.length + 1)
    if (createHash('sha256').update(body).digest('hex') !== headers['x-sallyport-sha256'])
      return { status: 422, body: '{"code":"mismatch"}' }
    if (!path.endsWith('/manifest.jws')) {
      const same = this.evidence.get(path)?.equals(body)
      this.evidence.set(path, body)
      return { status: same ? 200 : 201, body: '{}' }
    }
    const jws = body.toString('latin1')
    const decoded = decodeJws(jws, JWS_TYPES.manifest, manifestSchema)
    if (!decoded.ok) return { status: 422, body: JSON.stringify({ code: decoded.code }) }
    const { recording, session, segments } = decoded.value.payload
    const missing = segments.filter(
      (one) => !this.evidence.has(`${recording}/${one.stream}/${one.number}.spr`),
    )
    if (missing.length > 0) return { status: 409, body: '{"code":"missing"}' }
    this.evidence.set(path, body)
    const receipt = await this.sign(JWS_TYPES.receipt, {
      v: 1,
      deployment: this.deployment,
      recording,
      session,
      manifest: jwsHash(jws),
      first_index: 1,
      last_index: 2,
      signed_at_ms: Date.now(),
    })
    this.receipts.set(recording, receipt)
    return { status: 200, body: receipt }
  }

  async #enrol(body: Buffer): Promise<{ status: number; body: string }> {
    const request = EnrolRequest.parse(JSON.parse(body.toString()))
    if (request.token !== this.token)
      return { status: 403, body: '{"code":"enrolment-refused","message":"no"}' }
    const signed = await signGateway(this.#ca, request.csr, this.gateway, Date.now())
    if (!signed) return { status: 400, body: '{"code":"bad-csr"}' }
    this.sealKey = request.sealKey
    this.gatewaySignKey = request.signKey.x
    return {
      status: 200,
      body: JSON.stringify({
        gateway: this.gateway,
        site: this.site,
        deployment: this.deployment,
        certificate: signed.certificate,
        ca: this.#ca.certificate,
        brokerKeys: this.brokerKeys(),
      }),
    }
  }
}

/** A browser's terminal, as far as the wire goes: acknowledges, collects text and messages. */
export class TestBrowser {
  readonly ws: WebSocket
  readonly messages: TerminalDown[] = []
  text = ''
  bytes = 0
  /** Set to false to stop acknowledging. */
  acknowledges = true
  keepText = true
  closed: { code: number; reason: string; at: number } | null = null
  refused: number | null = null
  #owed = 0

  private constructor(ws: WebSocket) {
    this.ws = ws
  }

  static async over(
    ws: WebSocket,
    onBytes?: (browser: TestBrowser, bytes: Buffer) => void,
  ): Promise<TestBrowser> {
    const browser = new TestBrowser(ws)
    ws.on('message', (data, isBinary) => {
      const bytes = data as Buffer
      if (!isBinary) {
        browser.messages.push(JSON.parse(bytes.toString()) as TerminalDown)
        return
      }
      browser.bytes += bytes.length
      onBytes?.(browser, bytes)
      if (browser.keepText) browser.text = (browser.text + bytes.toString()).slice(-200_000)
      browser.#owed += bytes.length
      if (browser.acknowledges && browser.#owed >= 64 * 1024) browser.acknowledge()
    })
    ws.on('close', (code, reason) => {
      browser.closed = { code, reason: reason.toString(), at: performance.now() }
    })
    await new Promise<void>((done) => {
      ws.once('open', () => done())
      ws.once('unexpected-response', (_request, response) => {
        browser.refused = response.statusCode ?? 0
        response.resume()
        done()
      })
      ws.once('error', () => done())
    })
    return browser
  }

  acknowledge(): void {
    this.ws.send(JSON.stringify({ type: 'ack', bytes: this.#owed }))
    this.#owed = 0
  }

  say(message: object): void {
    this.ws.send(JSON.stringify(message))
  }

  start(cols = 80, rows = 24): void {
    this.say({ type: 'start', cols, rows })
  }

  type(text: string): void {
    this.ws.send(Buffer.from(text))
  }

  async sees(text: string, withinMs = 10_000): Promise<void> {
    await until(
      () => this.text.includes(text),
      `"${text}" on the screen, have ${JSON.stringify(this.text.slice(-300))}`,
      withinMs,
    )
  }

  last<T extends TerminalDown['type']>(type: T): (TerminalDown & { type: T }) | undefined {
    return this.messages
      .filter((message): message is TerminalDown & { type: T } => message.type === type)
      .at(-1)
  }

  async state(state: string, withinMs = 10_000): Promise<TerminalDown & { type: 'state' }> {
    await until(
      () => this.last('state')?.state === state,
      `state ${state}, have ${this.last('state')?.state}`,
      withinMs,
    )
    return this.last('state')!
  }
}

export function ed25519(): { kid: string; x: string; privateKey: KeyObject } {
  const { publicKey, privateKey } = generateKeyPairSync('ed25519')
  return { kid: randomUUID(), x: publicKey.export({ format: 'jwk' }).x ?? '', privateKey }
}

function p256(): JsonWebKeyPublic {
  const { publicKey } = generateKeyPairSync('ec', { namedCurve: 'P-256' })
  const { x = '', y = '' } = publicKey.export({ format: 'jwk' })
  return { kty: 'EC', crv: 'P-256', x, y, kid: randomUUID() }
}
