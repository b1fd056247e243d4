import { existsSync } from 'node:fs'
import { afterAll, afterEach, beforeAll, describe, expect, it } from 'vitest'
import { systemClock } from '../../broker/domain/clock.ts'
import type { DecoderSpares } from '../../gateway/desktop/child/spares.ts'
import { probeRdp } from '../../gateway/desktop/rdp/probe.ts'
import {
  bitmapUpdate,
  fastPath,
  onChannel,
  type TestBitmap,
} from '../../gateway/desktop/testing/rdp-server.ts'
import { openRdpLab, type RdpWishes, startRdpSpares, tryRdp } from '../gateway/rdp-support.ts'
import {
  deactivateAll,
  demandActive,
  IO_CHANNEL,
  type RdpPhase,
  type RdpScript,
  type RdpTalk,
  type ScriptedRdp,
  startScriptedRdp,
} from '../lab/rdp-script.ts'
import { until } from '../lab/until.ts'

const rules = { security: 'tls' } as const
const withClipboard = { ...rules, clipboard: { in: true, out: true } }
const QUICK = { connectTimeoutMs: 2000, handshakeTimeoutMs: 1000 }

let spares: DecoderSpares
const labs: ScriptedRdp[] = []
beforeAll(async () => {
  spares = await startRdpSpares()
})
afterEach(async () => {
  for (const lab of labs.splice(0)) await lab.stop()
})
afterAll(() => spares?.stop())

async function saying(script: RdpScript): Promise<ScriptedRdp> {
  const lab = await startScriptedRdp(script)
  labs.push(lab)
  return lab
}

/** One bitmap of raw pixels, by default one pixel at the left top. */
const bitmap = (change: Partial<TestBitmap> = {}) =>
  fastPath(
    1,
    bitmapUpdate([
      {
        ...{ left: 0, top: 0, right: 0, bottom: 0, width: 1, height: 1, bits: 32, flags: 0 },
        data: Buffer.from([1, 2, 3, 0]),
        ...change,
      },
    ]),
  )

/** Says it again and again, as fast as it is taken. */
function endlessly(talk: RdpTalk, packet: Uint8Array) {
  const go = () => {
    if (talk.socket.destroyed) return
    let more = true
    for (let n = 0; more && n < 100; n++) more = talk.socket.write(packet)
    if (more) setImmediate(go)
    else talk.socket.once('drain', go)
  }
  go()
}

/** What is said on the clipboard's channel, whole. */
function copied(type: number, flags: number, data: Buffer = Buffer.alloc(0)): Buffer {
  const message = Buffer.alloc(16 + data.length)
  message.writeUInt32LE(8 + data.length, 0)
  message.writeUInt32LE(3, 4)
  message.writeUInt16LE(type, 8)
  message.writeUInt16LE(flags, 10)
  message.writeUInt32LE(data.length, 12)
  message.set(data, 16)
  return onChannel(0x68, IO_CHANNEL + 1, message)
}

const LIST = copied(2, 0, Buffer.from([13, 0, 0, 0, 0, 0]))
/** Capabilities, "ready", and yes to the client's list: the clipboard works from here on. */
const CLIPBOARD = Buffer.concat([
  copied(7, 0, Buffer.from([1, 0, 0, 0, 1, 0, 12, 0, 2, 0, 0, 0, 2, 0, 0, 0])),
  copied(1, 0),
  copied(3, 1),
])

async function ended(script: RdpScript, wishes: RdpWishes = { rules }): Promise<[string | null, string]> {
  const { heard, source } = await openRdpLab(await saying(script), spares, wishes)
  await until(() => heard.closed !== null, 'the end')
  const { pid } = source as unknown as { pid: number }
  await until(() => !existsSync(`/proc/${pid}`), 'its decoder is gone')
  return [heard.closed, heard.why]
}

describe('hostile rdp servers', () => {
  it('a quiet one is shown, and follows its own size', async () => {
    let times = 0
    const lab = await saying({
      live: (talk) =>
        times++ === 0 ? talk.say(deactivateAll(), demandActive(1000, 700)) : talk.say(bitmap()),
    })
    const { heard, source } = await openRdpLab(lab, spares, { rules })
    await until(() => heard.canvas.sizes.at(-1) === '1000x700', 'its other size')
    await until(() => heard.canvas.at(0, 0)[0] === 3, 'a picture')
    expect(heard.canvas.at(0, 0)).toEqual([3, 2, 1])
    source.destroy()
  })

  it('one that stops, whatever it is doing, is given up', async () => {
    for (const stopped of ['connect', 'join', 'capabilities', 'finish']) {
      const lab = await saying({
        change: (phase, right) => {
          if (phase !== stopped) return [right]
          lab.talks.at(-1)?.say(right.subarray(0, right.length >> 1))
          return []
        },
      })
      const { heard, answer } = await tryRdp(lab, spares, { rules, times: QUICK })
      expect([stopped, answer]).toMatchObject([stopped, { ok: false, failure: { code: 'timed-out' } }])
      expect(heard.canvas.sizes).toEqual([])
    }
    const silent = await saying({ confirm: null })
    expect(await probeRdp(silent, systemClock, 150)).toEqual({ ok: false, code: 'timed-out' })
  })

  it('one that hangs up, whatever it is doing, is lost', async () => {
    for (const stopped of ['connect', 'capabilities']) {
      const lab = await saying({
        change: (phase, right) => {
          if (phase !== stopped) return [right]
          lab.talks.at(-1)?.socket.end()
          return []
        },
      })
      const { answer } = await tryRdp(lab, spares, { rules })
      expect([stopped, answer]).toMatchObject([stopped, { ok: false, failure: { code: 'asset-lost' } }])
    }
  })

  it('words in place of an answer', async () => {
    const other = Buffer.from('0300000b02f0802e000006', 'hex')
    for (const [now, words] of [
      ['connect', Buffer.alloc(100_000)],
      ['join', Buffer.alloc(100_000, 0x16)],
      ['capabilities', Buffer.alloc(110_000, other)],
    ] as [RdpPhase, Buffer][]) {
      const lab = await saying({ change: (phase, right) => [now === phase ? words : right] })
      const { answer } = await tryRdp(lab, spares, { rules, times: QUICK })
      expect(['protocol-violation', 'timed-out']).toContain(answer.ok ? 'open' : answer.failure.code)
    }
  })

  it('a desktop of an impossible size opens no session, and ends one', async () => {
    const { answer } = await tryRdp(await saying({ width: 0, height: 0 }), spares, { rules })
    expect(answer).toMatchObject({ ok: false, failure: { code: 'protocol-violation' } })
    const live = (talk: RdpTalk) => talk.say(deactivateAll(), demandActive(65535, 65535))
    expect(await ended({ live })).toEqual(['protocol-violation', 'an impossible desktop size'])
  })

  it('an odd desktop is shown as it is', async () => {
    const lab = await saying({ width: 3, height: 5, live: (talk) => talk.say(bitmap()) })
    const { heard, source } = await openRdpLab(lab, spares, { rules })
    await until(() => heard.canvas.calls.put > 0, 'a picture')
    expect([heard.canvas.width, heard.canvas.height]).toEqual([3, 5])
    source.destroy()
  })

  it('sizes without an end', async () => {
    let n = 0
    const live = (talk: RdpTalk) => talk.say(deactivateAll(), demandActive(640 + (n++ % 2), 480))
    expect(await ended({ live })).toEqual(['protocol-violation', 'new sizes without an end'])
  })

  it.each([
    [
      'pieces of an update without an end',
      fastPath(4, Buffer.alloc(16_000), 2),
      fastPath(4, Buffer.alloc(16_000), 3),
    ],
    ['updates that never end', fastPath(1, Buffer.alloc(16_000), 2), fastPath(1, Buffer.alloc(16_000), 2)],
    ['clipboard lists before their time', LIST, LIST],
  ])('%s', async (_what, first, then) => {
    const live = (talk: RdpTalk) => {
      talk.say(first)
      endlessly(talk, then)
    }
    expect((await ended({ live }, { rules: withClipboard }))[0]).toBe('protocol-violation')
  })

  it('questions of one that does not listen to the answers', async () => {
    const lab = await saying({ live: (talk) => talk.say(CLIPBOARD) })
    const { heard, source } = await openRdpLab(lab, spares, { rules: withClipboard })
    const [talk] = lab.talks
    await until(() => (talk?.heard.length ?? 0) > 12, 'the clipboard is agreed on')
    source.clipboard('x'.repeat(800_000))
    talk?.socket.pause()
    // A few bytes, for an answer of more than a megabyte.
    const question = copied(4, 0, Buffer.from([13, 0, 0, 0]))
    for (let n = 0; n < 10; n++) talk?.say(question)
    await until(() => heard.closed !== null, 'the end')
    expect([heard.closed, heard.why]).toEqual([
      'protocol-violation',
      'questions without an end, and no ear for the answers',
    ])
  })

  it('pointers and clipboard lists without an end leave the session what it is', async () => {
    const pointer = Buffer.alloc(20 + 96 * 96 * 3, 9)
    for (const [n, word] of [24, 1, 0, 0, 96, 96, 0, 96 * 96 * 3].entries())
      pointer.writeUInt16LE(word, n * 2)
    const lab = await saying({
      live: (talk) => {
        talk.say(CLIPBOARD)
        endlessly(talk, Buffer.concat([fastPath(11, pointer), LIST, bitmap()]))
      },
    })
    const { heard, source } = await openRdpLab(lab, spares, { rules: withClipboard })
    await until(() => heard.canvas.flushes > 50, 'pictures between them')
    expect(heard.canvas.shape?.width).toBe(96)
    expect(heard.clipboard.length).toBeLessThan(10)
    expect(heard.closed).toBeNull()
    source.destroy()
  })

  it('bitmaps that cover nothing, or what is not there, are left out', async () => {
    const lab = await saying({
      live: (talk) =>
        talk.say(
          bitmap({ left: 65535, top: 65535, right: 65535, bottom: 65535 }),
          bitmap({ left: 20, top: 20, right: 19, bottom: 19, width: 0, height: 0 }),
          bitmap({ left: 20, top: 20, right: 10, bottom: 10, width: 65527, height: 65527 }),
          bitmap({ left: 7, right: 7 }),
        ),
    })
    const { heard, source } = await openRdpLab(lab, spares, { rules })
    await until(() => heard.canvas.calls.put > 0, 'the last one')
    expect(heard.canvas.calls.put).toBe(1)
    expect(heard.closed).toBeNull()
    source.destroy()
  })

  it.each([
    ['more than it holds', bitmap({ right: 9, bottom: 9, width: 12, height: 10 })],
    ['of no screen', bitmap({ right: 9, bottom: 9, width: 65535, height: 65535, flags: 0x401 })],
    ['for a channel that nobody asked for', onChannel(0x68, 1010, Buffer.alloc(30))],
  ])('an update %s breaks the protocol', async (_what, packet) => {
    expect((await ended({ live: (talk) => talk.say(packet) }))[0]).toBe('protocol-violation')
  })
})
