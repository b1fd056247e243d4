import { afterAll, describe, expect, it } from 'vitest'
import type { TerminalDown } from '../../broker/contract/terminal.ts'
import { manualClock } from '../../broker/domain/manual-clock.ts'
import type { DesktopKeyframe, DesktopRecorder, RecordingFailure } from '../../recordings/recorder/api.ts'
import { EncodePool } from '../desktop/encode/pool.ts'
import type { DesktopEvents, DesktopSource } from '../desktop/source.ts'
import { say } from '../desktop/testing/rfb-client.ts'
import { Audience } from './audience.ts'
import type { Browser, BrowserListener } from './browser.ts'
import { DesktopMedium, type DesktopPorts } from './desktop-medium.ts'
import type { DesktopSeat } from './desktop-seat.ts'
import { RecordingSide } from './recording-side.ts'

const pool = new EncodePool(1)
afterAll(() => pool.stop())

class FakeBrowser implements Browser {
  readonly sent: Buffer[] = []
  queued = 0
  paused = false
  closed: number | null = null
  listener: BrowserListener | null = null
  send(bytes: Uint8Array) {
    this.sent.push(Buffer.from(bytes))
  }
  tell(_message: TerminalDown) {}
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
  says(...messages: Uint8Array[]) {
    for (const message of messages) this.listener?.bytes(Buffer.from(message))
  }
  /** Through RFB's greeting, so that input counts. */
  greets() {
    this.says(say.version(), say.security(), say.init(), say.encodings(7, -258, -316))
  }
}

/** A session's medium with everything around it made by hand; `done` is what happened, in order. */
async function desktop(change: Partial<DesktopPorts> = {}) {
  const clock = manualClock()
  const done: string[] = []
  const marks: string[] = []
  const failure = Promise.withResolvers<RecordingFailure>()
  const state = { mayAct: true, isEnding: false, acted: 0, failed: false }
  const recorder = {
    takes: true,
    keyframe: null as (() => Promise<DesktopKeyframe>) | null,
    drained: () => {},
    frames: 0,
    closed: false,
  }
  const fake: DesktopRecorder = {
    recording: 'r',
    position: 0,
    failed: failure.promise,
    marker: (text) => marks.push(text),
    onDrain: (run) => {
      recorder.drained = run
    },
    heads: () => [],
    addAnchorProof: async () => {},
    addGrant: async () => {},
    close: async () => {
      recorder.closed = true
      return { recording: 'r', manifest: {} as never, jws: '', hash: '', stored: true, failure: null }
    },
    frame: () => {
      recorder.frames += 1
      return recorder.takes
    },
    input: (message) => {
      done.push(`recorded ${Buffer.from(message).toString('hex')}`)
      return recorder.takes
    },
  }
  let events: DesktopEvents | null = null
  const source = {
    backlog: 0,
    received: 0,
    isOwnSize: false,
    takesScancodes: true as boolean,
    key: (down: boolean, keysym: number, scancode: number | null) =>
      done.push(`key ${down ? 'down' : 'up'} ${keysym.toString(16)} ${scancode}`),
    pointer: (x: number, y: number, buttons: number) => done.push(`pointer ${x},${y} ${buttons}`),
    clipboard: (text: string) => done.push(`clipboard ${text}`),
    keepSize: () => {},
    resize: () => done.push('resize'),
    pause: () => done.push('paused'),
    resume: () => done.push('resumed'),
    end: () => {},
    destroy: () => {},
  } satisfies DesktopSource
  let medium: DesktopMedium | null = null
  const audience = new Audience<DesktopSeat>({
    said: () => {},
    took: () => {},
    typed: (seat, bytes) => medium?.typed(seat, bytes),
    watched: (seat, bytes) => medium?.watched(seat, bytes),
    left: () => medium?.ownerGone(),
    watcherTook: () => {},
    watcher: () => {},
  })
  const recording = new RecordingSide('s', clock, {
    report: () => {},
    drained: () => {
      medium?.recorderFree()
      medium?.pace()
    },
    failed: () => {
      state.failed = true
    },
  })
  const made = new DesktopMedium(
    {
      clock,
      session: 's',
      audience,
      recording,
      mayAct: () => state.mayAct,
      isEnding: () => state.isEnding,
      acted: () => {
        state.acted += 1
      },
    },
    {
      name: 'Mixing station 3',
      viewOnly: false,
      clipboard: { in: false, out: false },
      encoders: pool,
      open: async (given) => {
        events = given
        given.canvas.resize(64, 48)
        given.canvas.flush()
        return { ok: true, opened: { source, identity: null, algorithms: {} } }
      },
      record: async (_target, keyframe) => {
        recorder.keyframe = keyframe
        await keyframe()
        return fake
      },
      ...change,
    },
  )
  medium = made
  await made.reach(
    { channelRefused: () => {}, identityChanged: () => {}, closed: () => {} },
    new AbortController().signal,
  )
  expect(await recording.start(() => made.record(null))).toBe(true)
  const come = () => {
    const browser = new FakeBrowser()
    const seat = made.seat(browser)
    audience.own(seat)
    made.ownerCame(seat)
    made.ownerIsBack(seat)
    return browser
  }
  const browser = come()
  made.begin()
  browser.greets()
  done.length = 0
  return {
    medium: made,
    browser,
    come,
    done,
    marks,
    state,
    recorder,
    source,
    recording,
    events: () => events,
  }
}

const key = (down: boolean, keysym: string, scancode: string) =>
  `ff00${down ? '0001' : '0000'}${keysym}${scancode}`

describe('a desktop', () => {
  it('records what a person does before it is done', async () => {
    const { browser, done, state } = await desktop()
    browser.says(say.qemuKey(true, 0x61, 0x1e), say.key(false, 0x61), say.pointer(1, 10, 20))
    browser.says(say.extendedPointer(0x81, 11, 21))
    expect(done).toEqual([
      `recorded ${key(true, '00000061', '0000001e')}`,
      'key down 61 30',
      'recorded 0400000000000061',
      'key up 61 null',
      'recorded 0501000a0014',
      'pointer 10,20 1',
      'recorded 0581000b001501',
      'pointer 11,21 129',
    ])
    expect(state.acted).toBe(4)
  })

  it('passes nothing on while nothing may be done, and no text that was not approved', async () => {
    const { browser, done, state } = await desktop()
    browser.says(say.cutText('secret'))
    state.mayAct = false
    browser.says(say.key(true, 0x61), say.pointer(1, 1, 1))
    expect(done).toEqual([])
    expect(state.acted).toBe(0)
  })

  it('carries approved text, as the asset gets it', async () => {
    const { browser, done } = await desktop({ clipboard: { in: true, out: false } })
    browser.says(say.cutText('recipe 7'))
    expect(done).toEqual([
      `recorded 06000000${'00000008'}${Buffer.from('recipe 7').toString('hex')}`,
      'clipboard recipe 7',
    ])
  })

  it('lets go of what is held when the person goes, and when they may not act any more', async () => {
    const { browser, come, done, medium, state } = await desktop()
    browser.says(say.qemuKey(true, 0xffe1, 0x2a), say.qemuKey(true, 0x41, 0x1e), say.pointer(1, 5, 6))
    // Under Shift it went down as another symbol than it comes up as.
    browser.says(say.qemuKey(false, 0x61, 0x1e))
    done.length = 0
    browser.listener?.closed()
    expect(done).toEqual([
      `recorded ${key(false, '0000ffe1', '0000002a')}`,
      'key up ffe1 42',
      'recorded 050000050006',
      'pointer 5,6 0',
    ])
    done.length = 0
    medium.ownerGone()
    expect(done).toEqual([])
    const next = come()
    next.greets()
    next.says(say.key(true, 0x62))
    done.length = 0
    state.mayAct = false
    medium.stateChanged()
    expect(done).toEqual(['recorded 0400000000000062', 'key up 62 null'])
  })

  it('to an asset that knows no places a key is its symbol: what went down is what comes up', async () => {
    const { browser, done, source, medium } = await desktop()
    source.takesScancodes = false
    browser.says(say.qemuKey(true, 0xffc2, 0x1e), say.qemuKey(false, 0x7a, 0x1e))
    done.length = 0
    medium.ownerGone()
    expect(done).toContain('key up ffc2 30')
  })

  it('another window of the same person finds nothing held down', async () => {
    const { browser, come, done } = await desktop()
    browser.says(say.qemuKey(true, 0x61, 0x1e))
    done.length = 0
    come()
    expect(done).toContain('key up 61 30')
  })

  it('what could not be let go again does not go down', async () => {
    const { browser, done, medium } = await desktop()
    for (let keysym = 0x100; keysym < 0x200; keysym++) browser.says(say.key(true, keysym))
    expect(done.filter((one) => one.startsWith('key down'))).toHaveLength(64)
    done.length = 0
    medium.ownerGone()
    expect(done.filter((one) => one.startsWith('key up'))).toHaveLength(64)
    expect(done.filter((one) => one.startsWith('recorded'))).toHaveLength(64)
  })

  it('an asset that is gone is told nothing, and the recording does not say that it was', async () => {
    const { browser, done, medium, events } = await desktop()
    browser.says(say.key(true, 0x61))
    done.length = 0
    events()?.closed('asset-lost', 'the connection was closed')
    medium.ownerGone()
    expect(done).toEqual([])
  })

  it('what is copied on the asset leaves a mark, where copying was approved', async () => {
    const one = await desktop({ clipboard: { in: false, out: true } })
    one.events()?.clipboard('recipe 7')
    expect(one.marks).toEqual([
      expect.stringMatching(/^copied on the asset, .*8 characters, SHA-256 [0-9a-f]{64}$/),
    ])
    const other = await desktop()
    other.events()?.clipboard('recipe 7')
    expect(other.marks).toEqual([])
  })

  it('a recorder without room stops the asset and the person, until it has room', async () => {
    const { browser, done, recorder } = await desktop()
    recorder.takes = false
    browser.says(say.key(true, 0x61))
    expect(done).toEqual(['recorded 0401000000000061', 'paused', 'key down 61 null'])
    expect(browser.paused).toBe(true)
    recorder.takes = true
    done.length = 0
    recorder.drained()
    expect(done).toEqual(['resumed'])
    expect(browser.paused).toBe(false)
  })

  it('an asset that takes no input stops the person alone', async () => {
    const { browser, come, done, source, events } = await desktop()
    source.backlog = 1024 * 1024
    browser.says(say.key(true, 0x61))
    expect(browser.paused).toBe(true)
    expect(done).not.toContain('paused')
    // Another browser of the same person meets the same.
    const next = come()
    expect(next.paused).toBe(true)
    source.backlog = 0
    events()?.drain()
    expect(next.paused).toBe(false)
  })

  it('the last picture is in the recording before it closes', async () => {
    const { recorder, recording, events } = await desktop()
    events()?.canvas.fill({ x: 0, y: 0, width: 8, height: 8 }, 0xff0000ff)
    events()?.canvas.flush()
    const frames = recorder.frames
    await recording.seal('vendor-left')
    expect(recorder.frames).toBe(frames + 1)
    expect(recorder.closed).toBe(true)
  })

  it('a picture that cannot be encoded any more is a recording that has failed', async () => {
    const dying = new EncodePool(1)
    const { events, state, recording } = await desktop({ encoders: dying })
    await dying.stop()
    events()?.canvas.fill({ x: 0, y: 0, width: 8, height: 8 }, 0xff0000ff)
    events()?.canvas.flush()
    await expect.poll(() => state.failed).toBe(true)
    await recording.seal('recording-failed')
  })
})
