import { randomUUID } from 'node:crypto'
import { describe, expect, it } from 'vitest'
import type { GatewayEvent } from '../../broker/contract/link.ts'
import type { TerminalDown } from '../../broker/contract/terminal.ts'
import type { Grant, SessionTicket } from '../../broker/domain/grant.ts'
import { type ManualClock, manualClock } from '../../broker/domain/manual-clock.ts'
import { DEFAULT_ENDING } from '../../broker/domain/words.ts'
import {
  type RecordingFailure,
  RecordingRefused,
  type SessionRecorder,
} from '../../recordings/recorder/api.ts'
import type { Browser, BrowserListener } from './browser.ts'
import { TypingBoard, typingBoardMemory } from './fair-share.ts'
import type { SessionPorts } from './ports.ts'
import { Session } from './session.ts'
import type { SourceEvents, TerminalSource } from './source.ts'
import { TerminalMedium, type TerminalPorts } from './terminal-medium.ts'
import type { Viewer } from './viewer.ts'

const MINUTE = 60_000

class FakeBrowser implements Browser {
  readonly told: TerminalDown[] = []
  readonly shown: string[] = []
  queued = 0
  paused = false
  closed: number | null = null
  listener: BrowserListener | null = null
  send(bytes: Uint8Array) {
    this.shown.push(Buffer.from(bytes).toString())
  }
  tell(message: TerminalDown) {
    this.told.push(message)
  }
  pause() {
    this.paused = true
  }
  resume() {
    this.paused = false
  }
  close(code: number) {
    this.closed = code
  }
  destroy() {}
  listen(listener: BrowserListener) {
    this.listener = listener
  }
  last<T extends TerminalDown['type']>(type: T) {
    return this.told.filter((one): one is TerminalDown & { type: T } => one.type === type).at(-1)
  }
}

class FakeSource implements TerminalSource {
  events: SourceEvents
  written: string[] = []
  takes = true
  backlog = 0
  reading = false
  destroyed = false
  ended = false
  constructor(events: SourceEvents) {
    this.events = events
  }
  write(bytes: Uint8Array) {
    this.written.push(Buffer.from(bytes).toString())
    return this.takes
  }
  sizes: string[] = []
  resize(cols: number, rows: number) {
    this.sizes.push(`${cols}x${rows}`)
  }
  pause() {
    this.reading = false
  }
  resume() {
    this.reading = true
  }
  end() {
    this.ended = true
  }
  destroy() {
    this.destroyed = true
  }
}

class FakeRecorder implements Partial<SessionRecorder> {
  log: string[] = []
  takes = true
  refuses = false
  drain: () => void = () => {}
  fail: (failure: RecordingFailure) => void = () => {}
  readonly failed = new Promise<RecordingFailure>((resolve) => {
    this.fail = resolve
  })
  output(bytes: Uint8Array) {
    if (this.refuses) throw new RecordingRefused('disk full')
    this.log.push(`o:${Buffer.from(bytes)}`)
    return this.takes
  }
  input(bytes: Uint8Array) {
    if (this.refuses) throw new RecordingRefused('disk full')
    this.log.push(`i:${Buffer.from(bytes)}`)
    return this.takes
  }
  resize() {}
  marker(text: string) {
    this.log.push(`m:${text}`)
  }
  onDrain(run: () => void) {
    this.drain = run
  }
  heads() {
    return []
  }
  async addGrant() {}
  async screen() {
    return { position: 0, cols: 80, rows: 24, bytes: Buffer.from('SCREEN') }
  }
  async close() {
    return { stored: true, manifest: { segments: [] } } as never
  }
}

const turn = () => new Promise<void>((done) => setImmediate(done))

async function live(
  change: Partial<Grant> = {},
  clock: ManualClock = manualClock(),
  record: TerminalPorts['record'] | null = null,
) {
  const now = Math.floor(clock.wall() / 1000)
  const grant = {
    v: 1,
    jti: randomUUID(),
    serial: 1,
    iat: now,
    exp: now + 3600,
    session: randomUUID(),
    recording: randomUUID(),
    asset: { id: 'a', name: 'Kiln', criticality: 'C3', hash: '' },
    endpoint: 'e',
    address: { host: 'h', port: 22 },
    identities: [],
    account: 'u',
    features: [],
    viewOnly: false,
    person: { id: randomUUID(), pseudonym: 'p', name: 'Vera', company: 'Acme' },
    ending: DEFAULT_ENDING.C3,
    idleSeconds: 0,
    browserHoldSeconds: 120,
    ...change,
  } as unknown as Grant
  const lease = (seconds = 60) => {
    const at = Math.floor(clock.wall() / 1000)
    return { v: 1 as const, session: grant.session, grant: grant.jti, serial: 1, iat: at, exp: at + seconds }
  }
  const events: GatewayEvent[] = []
  const closed: Parameters<SessionPorts<Viewer>['closed']>[] = []
  const recorder = new FakeRecorder()
  let source: FakeSource | null = null
  const session = new Session<Viewer>(grant, lease(), {
    clock,
    medium: (host) =>
      new TerminalMedium(host, {
        typing: new TypingBoard(typingBoardMemory(), () => 0),
        open: async (_size, heard) => {
          source = new FakeSource(heard)
          const identity = { algorithm: 'x', fingerprint: 'y' }
          return { ok: true, opened: { source, identity, algorithms: {} } }
        },
        record: record ?? (async () => recorder as unknown as SessionRecorder),
      }),
    report: (event) => events.push(event),
    closed: (...outcome) => closed.push(outcome),
  })
  const ticket = (use: SessionTicket['use']) =>
    ({ use, person: grant.person.id, personName: 'Vera' }) as SessionTicket
  const browser = new FakeBrowser()
  session.attach(browser, ticket('open'))
  browser.listener?.message({ type: 'start', cols: 80, rows: 24 })
  await turn()
  /** Moves time on, with a lease that is renewed as a broker would. */
  const pass = async (ms: number) => {
    for (let left = ms; left > 0; left -= 20_000) {
      if (session.state !== 'closed') session.renew(lease(), null)
      clock.advance(Math.min(20_000, left))
      await turn()
    }
  }
  const kinds = () => events.map((event) => event.kind)
  if (!source) throw new Error('not opened')
  return {
    session,
    browser,
    recorder,
    source: source as FakeSource,
    events,
    kinds,
    clock,
    pass,
    ticket,
    grant,
    lease,
    closed,
  }
}

describe('bytes', () => {
  it('are recorded before they are shown, and input before it goes to the asset', async () => {
    const { source, recorder, browser } = await live()
    expect(source.reading).toBe(true)
    source.events.output(Buffer.from('a'))
    source.events.output(Buffer.from('b'))
    expect(browser.shown).toEqual([])
    await turn()
    expect(recorder.log.at(-1)).toBe('o:ab')
    expect(browser.shown).toEqual(['ab'])
    browser.listener?.bytes(Buffer.from('ls\n'))
    expect(recorder.log.at(-1)).toBe('i:ls\n')
    expect(source.written).toEqual(['ls\n'])
  })

  it('wait while the recorder is full, and go on when it has drained', async () => {
    const { source, recorder } = await live()
    recorder.takes = false
    source.events.output(Buffer.from('a'))
    await turn()
    expect(source.reading).toBe(false)
    recorder.takes = true
    recorder.drain()
    expect(source.reading).toBe(true)
  })

  it('wait while the browser owes acknowledgements', async () => {
    const { source, browser } = await live()
    source.events.output(Buffer.alloc(5 * 1024 * 1024, 0x61))
    await turn()
    expect(source.reading).toBe(false)
    browser.listener?.message({ type: 'ack', bytes: 4 * 1024 * 1024 })
    expect(source.reading).toBe(true)
  })

  it('of a browser wait while the asset takes none', async () => {
    const { source, browser } = await live()
    source.takes = false
    browser.listener?.bytes(Buffer.from('x'))
    expect(browser.paused).toBe(true)
    // An acknowledgement says nothing about the asset.
    browser.listener?.message({ type: 'ack', bytes: 0 })
    expect(browser.paused).toBe(true)
    source.takes = true
    source.events.drain()
    expect(browser.paused).toBe(false)
  })
})

describe('a paste into an asset that echoes it', () => {
  it('goes on: acknowledgements are read while the asset waits for its output to be taken', async () => {
    const { source, browser } = await live()
    source.takes = false
    browser.listener?.bytes(Buffer.from('x'))
    expect(browser.paused).toBe(true)
    source.events.output(Buffer.alloc(5 * 1024 * 1024, 0x61))
    await turn()
    expect(source.reading).toBe(false)
    expect(browser.paused).toBe(false)
    browser.listener?.bytes(Buffer.from('y'))
    expect(browser.paused).toBe(false)
    browser.listener?.message({ type: 'ack', bytes: 5 * 1024 * 1024 })
    expect(source.reading).toBe(true)
    browser.listener?.bytes(Buffer.from('z'))
    expect(browser.paused).toBe(true)
  })

  it('is bounded', async () => {
    const { source, browser } = await live()
    source.events.output(Buffer.alloc(5 * 1024 * 1024, 0x61))
    await turn()
    source.takes = false
    source.backlog = 17 * 1024 * 1024
    browser.listener?.bytes(Buffer.from('y'))
    expect(browser.closed).toBe(4400)
  })
})

describe('a recorder that fails', () => {
  const failure: RecordingFailure = { code: 'disk-full', message: 'full', atMs: 0 }

  it('ends C3 before anything unrecorded is shown', async () => {
    const { source, recorder, browser, events, session } = await live()
    recorder.refuses = true
    source.events.output(Buffer.from('secret'))
    await turn()
    expect(browser.shown).toEqual([])
    expect(source.destroyed).toBe(true)
    await session.whenClosed
    expect(events.find((event) => event.kind === 'recording-gap')).toBeDefined()
    expect(events.at(-1)).toMatchObject({ kind: 'session-closed', end: 'recording-failed' })
  })

  it('holds C2 for an operator, input frozen, and says so', async () => {
    const asset = { id: 'a', name: 'Kiln', criticality: 'C2', hash: '' } as Grant['asset']
    const { source, recorder, browser, session, events } = await live({ asset, ending: DEFAULT_ENDING.C2 })
    recorder.fail(failure)
    recorder.refuses = true
    await turn()
    expect(session.state).toBe('held')
    expect(source.destroyed).toBe(false)
    browser.listener?.bytes(Buffer.from('x'))
    expect(source.written).toEqual([])
    source.events.output(Buffer.from('still live'))
    await turn()
    expect(browser.shown).toEqual(['still live'])
    expect(events.filter((event) => event.kind === 'recording-gap')).toHaveLength(1)
  })
})

describe('time', () => {
  it('warns at 15, 5 and 1 minutes, then ends by class', async () => {
    const { pass, browser, events, session } = await live()
    await pass(44 * MINUTE)
    expect(browser.last('warning')).toBeUndefined()
    await pass(15 * MINUTE + 30_000)
    expect(events.flatMap((event) => (event.kind === 'warning' ? [event.minutes] : []))).toEqual([15, 5, 1])
    await pass(MINUTE)
    expect(session.state).toBe('held')
    expect(browser.last('state')).toMatchObject({ inputFrozen: true, cause: 'The approved window is over.' })
    await pass(10 * MINUTE)
    await session.whenClosed
    expect(events.at(-1)).toMatchObject({ kind: 'session-closed', end: 'window-closed' })
  })

  it('a wall clock set back gains nothing', async () => {
    const { pass, session, clock } = await live({ ending: DEFAULT_ENDING.C4 })
    await pass(30 * MINUTE)
    clock.setWall(clock.wall() - 2 * 60 * MINUTE)
    await pass(31 * MINUTE)
    await session.whenClosed
    expect(session.state).toBe('closed')
  })

  it('a wall clock set forward ends it within a second', async () => {
    const { session, clock } = await live({ ending: DEFAULT_ENDING.C4 })
    clock.setWall(clock.wall() + 2 * 60 * MINUTE)
    clock.advance(1000)
    await turn()
    expect(session.state).not.toBe('live')
  })

  it('idle: warned, then ended; a lease does not undo it, typing before does', async () => {
    const { pass, browser, session } = await live({ idleSeconds: 300 })
    await pass(4 * MINUTE + 10_000)
    expect(browser.last('idle')).toBeDefined()
    browser.listener?.bytes(Buffer.from('x'))
    await pass(4 * MINUTE)
    expect(session.state).toBe('live')
    await pass(MINUTE + 1000)
    expect(session.state).toBe('held')
    await pass(MINUTE)
    expect(session.state).toBe('held')
  })

  it('a lost lease holds, a renewed one brings it back', async () => {
    const { session, clock, lease } = await live()
    clock.advance(61_000)
    expect(session.state).toBe('held')
    expect(session.renew(lease(), null)).toBeNull()
    expect(session.state).toBe('live')
  })

  it('an extension is for the same ground only', async () => {
    const { session, grant, lease } = await live()
    const next = { ...grant, jti: randomUUID(), serial: 2, exp: grant.exp + 600 }
    const nextLease = { ...lease(), grant: next.jti, serial: 2 }
    expect(session.renew(nextLease, { ...next, account: 'root' })).toBe('bad-grant')
    expect(session.renew(nextLease, { ...next, viewOnly: true })).toBe('bad-grant')
    expect(session.renew({ ...nextLease, grant: randomUUID() }, next)).toBe('not-for-this-session')
    expect(session.renew(nextLease, next)).toBeNull()
    expect(session.renew(lease(), null)).toBe('not-for-this-session')
  })

  it('an extension is for the same protocol, protection and pinned identities only', async () => {
    const pins = ['one', 'two'].map((fingerprint) => ({ algorithm: 'x509-sha256', fingerprint }))
    const vnc = { security: 'x509', authentication: 'password' } as const
    const { session, grant, lease } = await live({
      protocol: 'vnc',
      vnc,
      rdp: { security: 'nla' },
      identities: pins,
    })
    const next = { ...grant, jti: randomUUID(), serial: 2, exp: grant.exp + 600 }
    const nextLease = { ...lease(), grant: next.jti, serial: 2 }
    const others: Partial<Grant>[] = [
      { protocol: 'ssh' },
      { vnc: { ...vnc, authentication: 'none' } },
      { rdp: { security: 'tls' } },
      { identities: pins.slice(1) },
      { identities: [...pins, { algorithm: 'x509-sha256', fingerprint: 'three' }] },
    ]
    for (const other of others)
      expect(session.renew(nextLease, { ...next, ...other }), JSON.stringify(other)).toBe('bad-grant')
    const { rdp, ...without } = next
    expect(rdp).toBeDefined()
    expect(session.renew(nextLease, without)).toBe('bad-grant')
    expect(session.renew(nextLease, { ...next, vnc: { ...vnc }, identities: pins.toReversed() })).toBeNull()
  })

  it.each([
    ['comes', 'No browser came to the session in time.'],
    ['starts it', 'The browser did not start the session in time.'],
  ])('a browser that never %s ends it as open-failed', async (does, message) => {
    const clock = manualClock()
    const events: GatewayEvent[] = []
    const now = Math.floor(clock.wall() / 1000)
    const grant = {
      session: 's',
      recording: 'r',
      jti: 'g',
      serial: 1,
      iat: now,
      exp: now + 3600,
      asset: {},
      person: { id: 'p' },
      features: [],
      ending: {},
    }
    const lease = { v: 1 as const, session: 's', grant: 'g', serial: 1, iat: now, exp: now + 60 }
    const session = new Session<Viewer>(grant as unknown as Grant, lease, {
      clock,
      medium: (host) =>
        new TerminalMedium(host, {
          typing: new TypingBoard(typingBoardMemory(), () => 0),
          open: () => Promise.reject(new Error('not asked')),
          record: () => Promise.reject(new Error('not asked')),
        }),
      report: (event) => events.push(event),
      closed: () => {},
    })
    const browser = new FakeBrowser()
    if (does === 'starts it')
      session.attach(browser, { use: 'open', person: 'p', personName: 'Vera' } as SessionTicket)
    clock.advance(29_999)
    expect(session.state).toBe('opening')
    clock.advance(1)
    expect(session.state).not.toBe('opening')
    await session.whenClosed
    expect(events.at(-1)).toMatchObject({ kind: 'session-closed', end: 'open-failed', message })
    // A start that comes too late opens nothing.
    browser.listener?.message({ type: 'start', cols: 80, rows: 24 })
    expect(session.state).toBe('closed')
  })
})

describe('commands', () => {
  it('a stop destroys the asset’s socket before it answers, and measures', async () => {
    const { session, source, clock } = await live()
    const receivedAt = clock.monotonic()
    clock.advance(7)
    const done = session.command({ command: 'stop', end: 'site-locked', by: 'Olga', cause: '', receivedAt })
    expect(source.destroyed).toBe(true)
    expect(done).toEqual({ ok: true, code: null, tookMs: 7 })
    await session.whenClosed
  })

  it('a revocation closes the browser and lets nobody back', async () => {
    const { session, browser, source, ticket, clock } = await live()
    session.command({
      command: 'revoke',
      end: 'identity-revoked',
      by: 'HR',
      cause: '',
      receivedAt: clock.monotonic(),
    })
    expect(browser.closed).toBe(4410)
    expect(source.destroyed).toBe(false)
    expect(session.refusal(ticket('attach'))).toBe('access-withdrawn')
    expect(session.refusal(ticket('watch'))).toBeNull()
  })
})

describe('resizes', () => {
  const resize = (browser: FakeBrowser, cols: number) =>
    browser.listener?.message({ type: 'resize', cols, rows: 30 })

  it('the newest counts, ten times a second', async () => {
    const { browser, source, clock, session } = await live()
    for (let cols = 100; cols < 200; cols++) resize(browser, cols)
    expect(source.sizes).toEqual(['100x30'])
    clock.advance(99)
    expect(source.sizes).toHaveLength(1)
    clock.advance(1)
    expect(source.sizes).toEqual(['100x30', '199x30'])
    clock.advance(1000)
    expect(source.sizes).toHaveLength(2)
    resize(browser, 90)
    resize(browser, 91)
    session.command({ command: 'stop', end: 'site-locked', by: 'O', cause: '', receivedAt: 0 })
    clock.advance(1000)
    expect(source.sizes.at(-1)).toBe('90x30')
    await session.whenClosed
  })

  it('wait while the input is frozen', async () => {
    const { browser, source, session, clock } = await live()
    const order = { end: 'operator-stopped' as const, by: 'Olga', cause: 'look', receivedAt: 0 }
    session.command({ ...order, command: 'hold' })
    resize(browser, 100)
    resize(browser, 101)
    clock.advance(1000)
    expect(source.sizes).toEqual([])
    session.command({ ...order, command: 'release' })
    expect(source.sizes).toEqual(['101x30'])
  })

  it('of somebody who may only look reach nothing', async () => {
    const { browser, source, clock } = await live({ viewOnly: true })
    resize(browser, 100)
    clock.advance(1000)
    expect(source.sizes).toEqual([])
  })

  it('of a browser that comes back are there before its screen is painted', async () => {
    const { browser, source, session, ticket } = await live()
    browser.listener?.closed()
    const next = new FakeBrowser()
    session.attach(next, ticket('attach'))
    next.listener?.message({ type: 'start', cols: 120, rows: 40 })
    expect(source.sizes).toEqual(['120x40'])
  })
})

describe('an asset that shows another host key at a later key exchange', () => {
  it('ends the session as changed, and reports the key that was seen', async () => {
    const { session, source, events } = await live()
    source.events.closed('identity-changed', { algorithm: 'ssh-ed25519', fingerprint: 'SHA256:other' })
    await session.whenClosed
    expect(events).toContainEqual(expect.objectContaining({ kind: 'identity-changed', seen: 'SHA256:other' }))
    expect(events.at(-1)).toMatchObject({ kind: 'session-closed', end: 'target-identity-changed' })
  })
})

describe('a recording that is not sealed in time', () => {
  it('is told, and finished by its recorder alone', async () => {
    const { session, recorder, clock, events, closed } = await live()
    const disk = Promise.withResolvers<never>()
    recorder.close = () => disk.promise
    session.command({ command: 'stop', end: 'operator-stopped', by: 'Olga', cause: '', receivedAt: 0 })
    clock.advance(10_000)
    await session.whenClosed
    expect(events.slice(-2)).toMatchObject([
      { kind: 'gateway-problem', code: 'recording-not-sealed', session: session.id },
      { kind: 'session-closed', end: 'operator-stopped' },
    ])
    const [[recording, late] = []] = closed
    expect(recording).toBeNull()
    disk.resolve({ stored: true } as never)
    expect(await late).toEqual({ stored: true })
    expect(closed).toHaveLength(1)
  })

  it('is waited for also when it is just being opened', async () => {
    const opening = Promise.withResolvers<SessionRecorder>()
    const { session, recorder, closed } = await live({}, manualClock(), () => opening.promise)
    session.command({ command: 'stop', end: 'site-locked', by: 'Olga', cause: '', receivedAt: 0 })
    await turn()
    expect(session.state).toBe('closing')
    opening.resolve(recorder as unknown as SessionRecorder)
    await session.whenClosed
    expect(closed).toMatchObject([[{ stored: true }, null]])
  })
})

describe('an asset that tries to open channels', () => {
  it('is told of some times, and then loses the session: the log is not its to fill', async () => {
    const { source, session, events } = await live()
    for (let i = 0; i < 20; i += 1) source.events.channelRefused('auth-agent@openssh.com')
    expect(session.state).toBe('live')
    for (let i = 0; i < 1_000; i += 1) source.events.channelRefused('direct-tcpip')
    await session.whenClosed
    expect(source.destroyed).toBe(true)
    expect(events.filter((event) => event.kind === 'channel-refused')).toHaveLength(20)
    expect(events.at(-1)).toMatchObject({ kind: 'session-closed', end: 'protocol-violation' })
  })
})
