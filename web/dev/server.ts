import { createReadStream, existsSync, statSync } from 'node:fs'
import { createServer, type IncomingMessage, type Server } from 'node:http'
import { extname, join, normalize } from 'node:path'
import { type WebSocket, WebSocketServer } from 'ws'
import type { Answer, RouteKey } from '../../broker/contract/api/index.ts'
import type { TerminalDown, TerminalUp } from '../../broker/contract/terminal.ts'
import { desktopSegment } from './desktop-recording.ts'
import {
  assets,
  atConsole,
  berlin,
  consoles,
  exceptions,
  extension,
  gary,
  H,
  iso,
  line,
  live,
  liveSessionId,
  M,
  me,
  newId,
  past,
  people,
  persons,
  type RoleName,
  requests,
  ticket,
  vendors,
} from './plant.ts'
import { isDesktop, recording, segmentText, textLines } from './recording.ts'

/**
 * A stand-in for the broker, for looking at the pages while they are made: fixed answers typed by the contract, the
 * product's own Content Security Policy, and a small shell behind the session socket. Not part of the product.
 */
export interface Fixture {
  url: string
  role: RoleName
  /** Empty lists everywhere. */
  empty: boolean
  alarms: boolean
  /** A backup was restored, and a gateway has lost one of its threads. */
  restored: boolean
  /** A vendor waits for a console. */
  console: boolean
  signedIn: boolean
  /** The next opening of a session asks for a fresh sign-in. */
  stepUp: boolean
  /** Requests of segments seen, for tests. */
  segments: number[]
  /** Sends something into every open session socket. */
  push: (message: TerminalDown) => void
  drop: () => void
  close: () => Promise<void>
}

const CSP =
  "default-src 'none'; script-src 'self' 'wasm-unsafe-eval'; style-src 'self' 'unsafe-inline'; img-src 'self' data: blob:; font-src 'self'; connect-src 'self'; manifest-src 'self'; base-uri 'none'; form-action 'self'; frame-ancestors 'none'"
const TYPES: Record<string, string> = {
  '.html': 'text/html; charset=utf-8',
  '.js': 'text/javascript',
  '.css': 'text/css',
  '.svg': 'image/svg+xml',
  '.woff2': 'font/woff2',
}

type Given = { params: Record<string, string>; query: URLSearchParams; body: Record<string, unknown> }
type Answers = {
  [K in RouteKey]?: (given: Given) => Answer<K> extends 'raw' ? string | Uint8Array : Answer<K>
}

function answers(fixture: Fixture): Answers {
  const page = <T>(items: T[]) => ({ items: fixture.empty ? [] : items, next: null })
  const one = <T extends { id: string }>(list: readonly T[], id: string | undefined): T => {
    const found = list.find((entry) => entry.id === id) ?? list[0]
    if (!found) throw new RangeError('fixture')
    return found
  }
  const challenge = () => ({
    challenge: Buffer.from(newId()).toString('base64url'),
    rpId: 'localhost',
    timeout: 60_000,
    userVerification: 'preferred' as const,
    allowCredentials: [],
  })
  const registration = () => ({
    challenge: Buffer.from(newId()).toString('base64url'),
    rp: { name: 'Sallyport', id: 'localhost' },
    user: { id: Buffer.from(newId()).toString('base64url'), name: 'fixture', displayName: 'Fixture' },
    pubKeyCredParams: [{ type: 'public-key', alg: -7 }],
    authenticatorSelection: { residentKey: 'required', userVerification: 'required' },
  })
  const gateways: Answer<'GET /api/gateways'> = [
    {
      id: newId(),
      name: 'gw-falkensee-1',
      site: berlin,
      zone: { id: newId(), name: 'Plant DMZ' },
      state: 'online',
      version: '0.1.0',
      lastSeenAt: iso(Date.now() - 2000),
      clockOffsetMs: 11,
      sessions: 3,
      workers: { running: 4, configured: 4 },
      freeBytes: 214 * 1024 ** 3,
      reserveBytes: 10 * 1024 ** 3,
      spooledRecordings: 1,
    },
    {
      id: newId(),
      name: 'gw-gary-1',
      site: gary,
      zone: { id: newId(), name: 'Mill DMZ' },
      state: 'offline',
      version: '0.1.0',
      lastSeenAt: iso(Date.now() - 40 * M),
      clockOffsetMs: null,
      sessions: null,
      workers: null,
      freeBytes: 6 * 1024 ** 3,
      reserveBytes: 10 * 1024 ** 3,
      spooledRecordings: 4,
    },
  ]
  const zones = [...new Map(assets.map((asset) => [asset.zone.name, asset.zone])).values()].map((zone) => ({
    ...zone,
    siteId: berlin.id,
    ranges: ['10.20.4.0/24'],
  }))
  const dmz = { id: newId(), siteId: berlin.id, name: 'Gateway DMZ', ranges: ['10.20.0.0/24'] }
  const opening = (id: string) => ({ sessionId: id, socket: `/ws/sessions/${id}`, ticket: 'fixture-ticket' })
  const NOTICE = `Sessions on equipment of the Falkensee press shop are recorded in full: everything shown and everything typed. What you type is sealed and can be read only by two custodians together.

An operator may watch live; you see who does. The recording is kept for two years as evidence of the work (works agreement 14/2026, Art. 6(1)(f) GDPR).

Continue only if you agree, and only for the work of your change ticket.`
  return {
    'GET /api/me': () => me(fixture.role, { alarms: fixture.alarms }),
    'GET /api/sign-in/providers': () => ({
      deployment: { name: 'Falkensee vendor access', setupDone: true },
      providers: [{ id: 'keller', name: 'Keller Robotics' }],
      passkeys: true,
    }),
    'POST /api/sign-in/passkey/options': () => ({ challengeId: newId(), options: challenge() }),
    'POST /api/sign-in/passkey': () => {
      fixture.signedIn = true
      return { ok: true }
    },
    'POST /api/sign-out': () => ({ ok: true }),
    'POST /api/set-up/options': () => ({
      name: 'Maria Brandt',
      challengeId: newId(),
      options: registration(),
    }),
    'POST /api/set-up': () => ({ ok: true }),
    'GET /api/me/passkeys': () => (fixture.empty ? [] : one(persons, people.maria.id).passkeys),
    'POST /api/me/passkeys/options': () => ({ challengeId: newId(), options: registration() }),
    'POST /api/me/passkeys': () => one(one(persons, people.maria.id).passkeys, undefined),
    'GET /api/my/endpoints': () =>
      fixture.empty
        ? []
        : assets.slice(0, 4).map((asset, place) => ({
            asset: { ...asset, site: berlin, zone: asset.zone.name } as never,
            endpointId: asset.endpoints[0]?.id ?? '',
            protocol: 'ssh' as const,
            accounts: place === 1 ? ['service', 'viewer'] : ['service'],
            ending: asset.ending,
          })),
    'GET /api/my/tickets': () => [
      ticket('CHG0031950', 'Robot cell 4: spindle drive firmware', Date.now() + 5 * H, Date.now() + 12 * H),
    ],
    'POST /api/tickets/lookup': ({ body }) =>
      ticket(String(body.key), 'Looked up change', Date.now() + 5 * H, Date.now() + 12 * H),
    'POST /api/requests/preview': ({ body }) => {
      const has = (name: string) => body[name] !== undefined
      return {
        permitted: false,
        until: null,
        lines: has('endpointId')
          ? [
              line('person', true, 'Your account and training are valid.', null),
              line('vendor', true, 'The contract of Keller Robotics runs until 9 Jun 2027.', null),
              line('conduit', true, 'A conduit leads to this zone and carries terminal sessions.', null),
              line('identity', true, 'The asset’s host key is pinned.', null),
              ...(has('ticket')
                ? [line('ticket', true, 'CHG0031950 is approved and names this asset.', null)]
                : [
                    line(
                      'ticket-unknown',
                      false,
                      'No change ticket is named yet.',
                      'You choose it on the left',
                    ),
                  ]),
              ...(has('window')
                ? [line('window', true, 'The window lies inside the ticket’s planned time.', null)]
                : []),
              line(
                'approvals-missing',
                false,
                'One approval is needed.',
                'An approver of Falkensee press shop gives it',
              ),
            ]
          : [],
      }
    },
    'POST /api/requests': () => one(requests, undefined),
    'GET /api/requests': ({ query }) =>
      page(
        requests.filter((request) =>
          query.get('view') === 'decide'
            ? request.state === 'waiting'
            : query.get('state')
              ? request.state === query.get('state')
              : true,
        ),
      ),
    'GET /api/requests/:id': ({ params }) => one(requests, params.id),
    'POST /api/requests/:id/decision/options': ({ params, body }) => {
      const request = one(requests, params.id)
      return {
        challengeId: newId(),
        meaning: `I approve that ${request.requester.name} of ${request.requester.company} works on ${request.asset.name} in this window, under ${request.ticket.key}.`,
        options: challenge(),
        document: {
          snapshot: {
            v: 1,
            request: { id: request.id, version: 1 },
            requester: { ...request.requester, vendor: { name: request.requester.company } },
            site: request.asset.site,
            asset: request.asset,
            protocol: 'ssh',
            account: request.account,
            features: request.features,
            viewOnly: false,
            purpose: request.purpose,
            ticket: request.ticket,
            window: request.window,
            ending: request.ending,
            extension: null,
          },
          constraints: body.constraints as Record<string, unknown>,
          decision: body.decision,
          meaning: 'I approve',
          nonce: 'x'.repeat(43),
        },
      }
    },
    'POST /api/requests/:id/decision': ({ params }) => {
      const request = one(requests, params.id)
      request.state = 'approved'
      request.approvals.push({
        id: newId(),
        decision: 'granted',
        by: { ...people.maria, role: 'approver' },
        at: iso(Date.now()),
        constraints: {},
        reason: null,
        withdrawnAt: null,
      })
      return request
    },
    'GET /api/consoles': () => (fixture.console ? consoles : []),
    'POST /api/requests/:id/console/ask': () => {
      atConsole.console = { askedAt: iso(Date.now()), ready: null }
      return atConsole
    },
    'POST /api/requests/:id/console/ready': () => {
      const ready = { by: people.jonas.name, at: iso(Date.now()), expiresAt: iso(Date.now() + 15 * M) }
      for (const item of consoles) item.ready = ready
      atConsole.console = { askedAt: iso(Date.now()), ready }
      return { ok: true }
    },
    'POST /api/requests/:id/console/take-back': () => {
      for (const item of consoles) item.ready = null
      atConsole.console = { askedAt: null, ready: null }
      return { ok: true }
    },
    'GET /api/requests/:id/notice': () => ({ version: 3, text: NOTICE, accepted: false }),
    'POST /api/requests/:id/session': () => opening(liveSessionId),
    'POST /api/sessions/:id/attach': ({ params }) => opening(params.id ?? ''),
    'POST /api/sessions/:id/watch': ({ params }) => opening(params.id ?? ''),
    'POST /api/sessions/:id/extension': () => extension,
    'GET /api/extensions': ({ query }) => (fixture.empty || query.get('sessionId') ? [] : [extension]),
    'GET /api/sessions': ({ query }) =>
      page(query.has('holdStands') ? [] : query.get('live') === 'true' ? live : [...live, ...past]),
    'GET /api/sessions/:id': ({ params }) => one([...live, ...past], params.id),
    'POST /api/sessions/:id/stop': ({ params }) => {
      const place = live.findIndex((session) => session.id === params.id)
      if (place >= 0) live.splice(place, 1)
      return { ok: true, closedAfterMs: 412 }
    },
    'POST /api/sessions/:id/stop-reason': () => ({ ok: true }),
    'POST /api/sessions/:id/hold': ({ params }) => one(live, params.id),
    'POST /api/sessions/:id/closing-note': ({ params, body }) => ({
      ...one(live, params.id),
      closingNote: String(body.text),
    }),
    'GET /api/assets': () => (fixture.empty ? [] : assets),
    'GET /api/exceptions': ({ query }) => {
      const wanted = query.get('state')
      return page(
        exceptions.filter(
          ({ state, expiresAt }) =>
            wanted === null ||
            (wanted === 'expiring'
              ? state === 'open' && Date.parse(expiresAt) < Date.now() + 30 * 24 * H
              : state === wanted),
        ),
      )
    },
    'GET /api/exceptions/owners': () => [people.maria, people.jonas, people.aylin],
    'POST /api/exceptions': () => exceptions.slice(0, 1),
    'POST /api/exceptions/:id/close': ({ params }) => {
      const closed = one(exceptions, params.id)
      closed.state = 'closed'
      closed.closed = { at: iso(Date.now()), by: people.jonas, reason: 'No longer needed' }
      return closed
    },
    'GET /api/assets/:id': ({ params }) => one(assets, params.id),
    'POST /api/endpoints/:id/identity/probe': () => ({
      identity: {
        algorithm: 'ssh-ed25519',
        fingerprint: 'SHA256:0aLk3yXrZ7nQm0LrYl8aY1J4oGk0Q0mGmX2cFq8o5E',
      },
      vnc: null,
      rdp: null,
    }),
    'GET /api/sites': () =>
      fixture.empty ? [] : [berlin, gary].map((site) => ({ ...site, notice: { version: 3, text: NOTICE } })),
    'GET /api/zones': () => [...zones, dmz],
    'GET /api/conduits': () =>
      zones.slice(0, 3).map((zone, place) => ({
        id: newId(),
        siteId: berlin.id,
        name: `DMZ to ${zone.name}`,
        from: { id: dmz.id, name: dmz.name },
        to: { id: zone.id, name: zone.name },
        protocols: ['ssh'],
        enabled: place !== 2,
      })),
    'GET /api/gateways': () => gateways,
    'POST /api/gateways': () => ({
      gateway: gateways[0] as (typeof gateways)[number],
      enrolmentToken: 'spe_5Q0mGmX2cFq8o5EuN8kq2yXrZ7nQm0LrYl8aY1J4oGk',
      expiresAt: iso(Date.now() + H),
    }),
    'GET /api/health': () => ({
      version: '0.1.0',
      clock: { state: 'ok', detail: '11 ms apart from the gateways at most' },
      database: { ok: true, detail: '2 ms' },
      storage: { freeBytes: 214 * 1024 ** 3, reserveBytes: 10 * 1024 ** 3, ok: true },
      restore: fixture.restored ? { at: iso(Date.now() - 2 * H), backupAt: iso(Date.now() - 26 * H) } : null,
      checkpoint: { size: 48_211, at: iso(Date.now() - 20_000) },
      witness: {
        state: 'absent',
        detail: 'Without a witness, whoever holds database and log key could rewrite history.',
      },
      gateways: fixture.empty
        ? []
        : gateways.map((gateway, place) =>
            fixture.restored && place === 0
              ? { ...gateway, workers: { running: 3, configured: 4 } }
              : gateway,
          ),
      unshippedRecordings: 5,
    }),
    'GET /api/vendors': () => (fixture.empty ? [] : vendors),
    'GET /api/people': () => page(persons),
    'POST /api/people': () => ({
      person: one(persons, undefined),
      setUpLink: 'https://access.falkensee.example/set-up#9f2ce1LrYl8aY1J4oGk0Q0mGmX2cFq8o5EuN8kq2yXrZ7nQm0',
    }),
    'GET /api/approval-rules': () =>
      (['C1', 'C2', 'C3'] as const).map((criticality) => ({
        id: newId(),
        siteId: berlin.id,
        criticality,
        count: criticality === 'C1' ? 2 : 1,
        roles: ['approver' as const],
      })),
    'GET /api/ticket-keys': () =>
      fixture.empty
        ? []
        : [
            {
              id: newId(),
              siteId: berlin.id,
              name: 'Change export 2026',
              kid: 'chg-export-2026',
              enabled: true,
              addedAt: iso(Date.now() - 30 * 24 * H),
            },
          ],
    'GET /api/recordings/:id': ({ params }) => recording(params.id ?? ''),
    'GET /api/recordings/:id/screen/:segment': ({ params }) => {
      fixture.segments.push(Number(params.segment))
      return isDesktop(params.id ?? '')
        ? desktopSegment(Number(params.segment))
        : segmentText(Number(params.segment))
    },
    'GET /api/recordings/:id/text': ({ query }) =>
      textLines(query.get('search'), Number(query.get('afterMs') ?? 0)),
    'POST /api/recordings/:id/verify': () => ({
      verdict: 'VALID',
      at: iso(Date.now()),
      checks: [
        'Manifest and receipt are signed by known keys',
        'Headers, sequence, chain and links of 8 segments hold',
        '24 anchors cover the recording; unanchored tail 0 s',
        'Every anchor is in the audit log under checkpoint 48,211',
        'Grant and 1 approval match, the approver is not the requester',
        'The last input lies inside the window',
      ]
        .map((text, place) => ({
          name: `check-${place}`,
          result: 'passed' as 'passed' | 'absent',
          code: null as string | null,
          text,
        }))
        .concat([
          {
            name: 'witness',
            result: 'absent',
            code: 'witness-absent',
            text: 'No witness has cosigned: nobody else keeps a copy of the checkpoints',
          },
        ]),
    }),
    'GET /api/audit': () =>
      page(
        [
          'session.start',
          'approval.granted',
          'session.hold',
          'recording.anchor',
          'sign-in.failed',
          'recording.view',
        ].map((action, place) => ({
          index: 48_211 - place,
          id: newId(),
          time: iso(Date.now() - place * 7 * M),
          type: action.split('.')[0] ?? '',
          action,
          result: action.endsWith('failed') ? 'denied' : 'ok',
          actor: place % 2 ? 'Maria Brandt' : 'Dana Whitfield, Keller Robotics',
          object: `session ${liveSessionId}`,
          reason: action === 'session.hold' ? 'Somebody is in the cell.' : null,
          sourceAddress: '198.51.100.23',
          session: liveSessionId,
          request: null,
          details: { grant: 'a3f1c09e5b7d4268', serial: 1 },
          leaf: 'a3f1c09e5b7d42688f0c1e2d3b4a59687f6e5d4c3b2a19080716253443526170',
        })),
      ),
    'GET /api/integrity': () => ({
      sessions: 214,
      complete: 211,
      recovered: fixture.alarms ? 2 : 0,
      arriving: 1,
      missing: fixture.alarms ? [{ sessionId: newId(), endedAt: iso(Date.now() - 3 * H) }] : [],
      gaps: fixture.alarms
        ? [{ recordingId: newId(), stream: 'screen', reason: 'gateway restarted, 4 s' }]
        : [],
      checkpoint: { size: 48_211, at: iso(Date.now() - 20_000) },
      witness: { state: 'absent', detail: 'None is set up. Verification reports it as absent.' },
      lastSelfCheckAt: iso(Date.now() - 11 * M),
      alarms: [],
    }),
  }
}

interface Route {
  method: string
  pattern: RegExp
  names: string[]
  key: RouteKey
}

export async function startFixture(dist: string, port = 0): Promise<Fixture> {
  const sockets = new Set<WebSocket>()
  const server: Server = createServer((incoming, reply) => void handle(incoming, reply))
  const fixture: Fixture = {
    url: '',
    role: 'vendor',
    empty: false,
    alarms: false,
    restored: false,
    console: false,
    signedIn: true,
    stepUp: false,
    segments: [],
    push: (message) => {
      for (const socket of sockets) socket.send(JSON.stringify(message))
    },
    drop: () => {
      for (const socket of sockets) socket.terminate()
    },
    close: () =>
      new Promise((resolve) => {
        for (const socket of sockets) socket.terminate()
        server.closeAllConnections()
        server.close(() => resolve())
      }),
  }
  const table = answers(fixture)
  const routes: Route[] = (Object.keys(table) as RouteKey[]).map((key) => {
    const [method = '', path = ''] = key.split(' ')
    const names: string[] = []
    const pattern = path.replace(/:([a-zA-Z]+)/g, (_, name: string) => {
      names.push(name)
      return '([^/]+)'
    })
    return { method, pattern: new RegExp(`^${pattern.replaceAll('.', '\\.')}$`), names, key }
  })

  const handle = async (incoming: IncomingMessage, reply: import('node:http').ServerResponse) => {
    const url = new URL(incoming.url ?? '/', 'http://localhost')
    if (url.pathname === '/api/events') {
      reply.writeHead(200, { 'content-type': 'text/event-stream' })
      reply.write(': hello\n\n')
      return
    }
    if (url.pathname.startsWith('/api/') || url.pathname.startsWith('/auth/')) {
      const chunks: Buffer[] = []
      for await (const chunk of incoming) chunks.push(chunk as Buffer)
      const body = chunks.length
        ? (JSON.parse(Buffer.concat(chunks).toString()) as Record<string, unknown>)
        : {}
      const refuse = (status: number, code: string, message: string, next: string) => {
        reply.writeHead(status, { 'content-type': 'application/json' })
        reply.end(JSON.stringify({ code, message, next, requestId: newId() }))
      }
      if (!fixture.signedIn && !/sign-in|set-up/.test(url.pathname)) {
        refuse(401, 'not-signed-in', 'You are not signed in.', 'Sign in.')
        return
      }
      if (fixture.stepUp && incoming.method === 'POST' && /\/session$/.test(url.pathname)) {
        fixture.stepUp = false
        refuse(403, 'step-up-required', 'Confirm that it is you.', 'Use your passkey.')
        return
      }
      for (const route of routes) {
        const match = route.method === incoming.method ? route.pattern.exec(url.pathname) : null
        if (!match) continue
        const params = Object.fromEntries(
          route.names.map((name, place) => [name, decodeURIComponent(match[place + 1] ?? '')]),
        )
        const answer = table[route.key]?.({ params, query: url.searchParams, body })
        reply.writeHead(200, {
          'content-type': typeof answer === 'string' ? 'text/plain' : 'application/json',
        })
        const isRaw = typeof answer === 'string' || answer instanceof Uint8Array
        reply.end(isRaw ? answer : JSON.stringify(answer))
        return
      }
      refuse(404, 'not-found', 'The fixture has no such answer.', 'Add it to web/dev/server.ts.')
      return
    }
    const file = normalize(join(dist, url.pathname))
    const real =
      file.startsWith(dist) && existsSync(file) && statSync(file).isFile() ? file : join(dist, 'index.html')
    reply.writeHead(200, {
      'content-type': TYPES[extname(real)] ?? 'application/octet-stream',
      'content-security-policy': CSP,
    })
    createReadStream(real).pipe(reply)
  }

  const gateway = new WebSocketServer({ server, handleProtocols: () => 'sallyport.terminal.v1' })
  gateway.on('connection', (socket) => {
    sockets.add(socket)
    socket.on('close', () => sockets.delete(socket))
    shell(socket, fixture.role !== 'vendor')
  })
  await new Promise<void>((resolve) => server.listen(port, '127.0.0.1', resolve))
  const address = server.address()
  fixture.url = `http://localhost:${typeof address === 'object' && address ? address.port : port}`
  return fixture
}

/** A few lines of a shell, enough to see a session page live. */
function shell(socket: WebSocket, watch: boolean): void {
  const down = (message: TerminalDown) => socket.send(JSON.stringify(message))
  const out = (text: string) => socket.send(Buffer.from(text))
  down({
    type: 'hello',
    session: liveSessionId,
    use: watch ? 'watch' : 'open',
    asset: 'Robot cell 4, controller',
    account: 'service',
    features: ['clipboard-paste'],
    viewOnly: false,
  })
  down({
    type: 'state',
    state: 'live',
    inputFrozen: false,
    cause: null,
    by: null,
    remainingMs: 2.1 * H,
    permitEndsAt: Date.now() + 2.1 * H,
    end: null,
    message: null,
  })
  down({ type: 'watchers', names: ['Jonas Vogel'] })
  down({ type: 'screen', cols: 110, rows: 30 })
  const prompt = '\u001b[32mservice@rob-b4\u001b[0m:\u001b[34m~\u001b[0m$ '
  out(
    `Last login: Tue Nov 17 21:02:11 2026 from 10.20.0.8\r\nrob-b4 controller 6.1.12, cell 4, tool change station\r\n\r\n${prompt}drivectl status\r\n  axis  drive     firmware  temp   state\r\n  1     SD-25     4.2.1     41 C   ready\r\n  2     SD-25     4.2.1     43 C   ready\r\n  3     SD-40     4.2.1     \u001b[33m58 C\u001b[0m   ready\r\n  4     SD-10     4.2.1     39 C   ready\r\n${prompt}sha256sum drive_fw_4.3.0.bin\r\n9f2ce10b7a1d…  drive_fw_4.3.0.bin\r\n${prompt}`,
  )
  socket.on('message', (data, binary) => {
    if (binary) {
      const text = data.toString()
      out(text.replaceAll('\r', `\r\n${prompt}`))
      return
    }
    const message = JSON.parse(data.toString()) as TerminalUp
    if (message.type === 'ping') down({ type: 'pong', id: message.id })
    if (message.type === 'leave')
      down({
        type: 'state',
        state: 'closed',
        inputFrozen: true,
        cause: null,
        by: null,
        remainingMs: null,
        permitEndsAt: Date.now(),
        end: 'vendor-left',
        message: 'The engineer ended the session.',
      })
  })
}
