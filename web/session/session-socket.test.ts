import { beforeEach, describe, expect, it, vi } from 'vitest'
import { ApiFailure } from '../shared/api.ts'
import { backOff, type Opening, SessionSocket, type SocketHost } from './session-socket.ts'
import type { SessionEvent } from './session-state.ts'

class FakeSocket {
  readyState = 1
  binaryType = ''
  sent: unknown[] = []
  onopen: (() => void) | null = null
  onmessage: ((event: { data: unknown }) => void) | null = null
  onclose: ((event: { code: number }) => void) | null = null
  send(data: unknown) {
    this.sent.push(data)
  }
  close() {
    this.readyState = 3
  }
  texts() {
    return this.sent
      .filter((data) => typeof data === 'string')
      .map((data) => JSON.parse(data as string) as { type: string })
  }
}

describe('the session socket', () => {
  let sockets: { socket: FakeSocket; protocols: string[] }[]
  let timers: { does: () => void; at: number; live: boolean }[]
  let now: number
  let events: SessionEvent[]
  let tickets: (() => Promise<Opening | null>)[]
  let drawn: (() => void)[]
  const opening = (ticket: string): Opening => ({ sessionId: 's', socket: '/ws/sessions/s', ticket })

  const make = (more: Partial<SocketHost> = {}) =>
    new SessionSocket(
      {
        watch: false,
        ticket: () => (tickets.shift() ?? (async () => opening('again')))(),
        tell: (event) => events.push(event),
        output: (_bytes, done) => drawn.push(done),
        repaint: vi.fn(),
        resize: vi.fn(),
        start: () => ({ cols: 90, rows: 30 }),
        ...more,
      },
      {
        open: (_path, protocols) => {
          const socket = new FakeSocket()
          sockets.push({ socket, protocols })
          return socket as unknown as WebSocket
        },
        now: () => now,
        later: (does, ms) => {
          const timer = { does, at: now + ms, live: true }
          timers.push(timer)
          return () => {
            timer.live = false
          }
        },
      },
    )
  const pass = async (ms: number) => {
    now += ms
    for (const timer of timers.splice(0)) {
      if (!timer.live) continue
      if (timer.at <= now) timer.does()
      else timers.push(timer)
    }
    await Promise.resolve()
    await Promise.resolve()
  }
  const at = (place: number) => {
    const entry = sockets[place]
    if (!entry) throw new Error('no socket')
    return entry
  }

  beforeEach(() => {
    sockets = []
    timers = []
    now = 0
    events = []
    tickets = []
    drawn = []
    vi.stubGlobal('WebSocket', { OPEN: 1 })
  })

  it('carries its ticket as a subprotocol, never in the address, and says its size', async () => {
    tickets = [async () => opening('one-use')]
    await make().connect()
    expect(at(0).protocols).toEqual(['sallyport.terminal.v1', 'sallyport.ticket.one-use'])
    at(0).socket.onopen?.()
    expect(at(0).socket.texts()[0]).toEqual({ type: 'start', cols: 90, rows: 30 })
  })

  it('acknowledges what was drawn, not what arrived', async () => {
    await make().connect()
    const { socket } = at(0)
    socket.onopen?.()
    socket.onmessage?.({ data: new ArrayBuffer(300 * 1024) })
    expect(socket.texts().some((message) => message.type === 'ack')).toBe(false)
    drawn[0]?.()
    expect(socket.texts().at(-1)).toEqual({ type: 'ack', bytes: 300 * 1024 })
  })

  it('comes back with a fresh ticket after a loss', async () => {
    tickets = [async () => opening('first'), async () => opening('second')]
    await make().connect()
    at(0).socket.onopen?.()
    at(0).socket.onclose?.({ code: 1006 })
    expect(events.map((event) => event.type)).toContain('lost')
    await pass(backOff(0))
    expect(at(1).protocols[1]).toBe('sallyport.ticket.second')
  })

  it('notices a line that fell silent', async () => {
    await make().connect()
    at(0).socket.onopen?.()
    for (let second = 0; second < 16; second += 3) await pass(3_000)
    expect(events).toContainEqual({ type: 'lost', code: 1006 })
  })

  it('does not fight over a session that another window took, nor one that ended', async () => {
    for (const code of [4000, 4409, 4410]) {
      sockets = []
      timers = []
      await make().connect()
      at(0).socket.onopen?.()
      at(0).socket.onclose?.({ code })
      await pass(60_000)
      expect(sockets).toHaveLength(1)
    }
  })

  it('stops at a refusal, goes on when the broker is away', async () => {
    const refusal = new ApiFailure(404, {
      code: 'not-found',
      message: 'No such session.',
      next: 'Go back.',
      requestId: 'r',
    })
    tickets = [async () => Promise.reject(refusal)]
    await make().connect()
    expect(events.at(-1)).toMatchObject({ type: 'refused' })
    const away = new ApiFailure(0, { code: 'no-connection', message: 'm', next: 'n', requestId: '-' })
    tickets = [async () => Promise.reject(away)]
    await make().connect()
    expect(events.at(-1)).toEqual({ type: 'try-failed' })
    await pass(backOff(0))
    expect(sockets).toHaveLength(1)
  })

  it('keeps nothing typed while it is away', async () => {
    const line = make()
    expect(line.input(new Uint8Array([1]))).toBe(false)
    await line.connect()
    at(0).socket.readyState = 3
    expect(line.input(new Uint8Array([1]))).toBe(false)
    expect(at(0).socket.sent).toHaveLength(0)
  })
})
