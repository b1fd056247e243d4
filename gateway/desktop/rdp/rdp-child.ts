import { ChildPipe, standReady } from '../child/child-pipe.ts'
import { FROM_CHILD, FrameReader, TO_CHILD } from '../child/frames.ts'
import { paintWriter } from '../child/paint-writer.ts'
import { Violation } from '../violation.ts'
import { loadEngine } from './ironrdp/engine.ts'
import { RdpDecoder } from './rdp-decoder.ts'
import { RDP_FROM_CHILD, RDP_TO_CHILD, readStart } from './rdp-frames.ts'

/**
 * The process that is an RDP client for one session. It holds that session's credential and reaches nothing but its two
 * pipes. IronRDP needs an event loop, so the input is read by it, one chunk after the other; the output blocks.
 */
const pipe = new ChildPipe()
await loadEngine()
standReady(pipe)

/** Well below what one message may hold. */
const PIECE = 64 * 1024

let decoder = null as RdpDecoder | null
const events = {
  ...paintWriter((type, ...parts) => pipe.send(type, ...parts)),
  opened: () => pipe.send(RDP_FROM_CHILD.opened),
  bytes: (bytes: Uint8Array) => {
    // A paste comes from IronRDP all at once, however long it is.
    for (let at = 0; at < bytes.length; at += PIECE)
      pipe.send(RDP_FROM_CHILD.bytes, bytes.subarray(at, at + PIECE))
    pipe.flush()
  },
  failed: (why: string) => {
    pipe.send(RDP_FROM_CHILD.failed, new TextEncoder().encode(why))
    pipe.flush()
  },
  takes: (flags: number) => pipe.send(RDP_FROM_CHILD.takes, new Uint8Array(Uint16Array.of(flags).buffer)),
  errorInfo: (code: number) =>
    pipe.send(RDP_FROM_CHILD.errorInfo, new Uint8Array(Uint32Array.of(code).buffer)),
  closed: () => {
    pipe.send(RDP_FROM_CHILD.closed)
    pipe.flush()
  },
  // The session sees a failed decoder.
  broken: () => process.exit(1),
}

/** Ends with what the asset did; with anything else, as a failed decoder. */
function violated(error: unknown): never {
  if (!(error instanceof Violation)) process.exit(1)
  pipe.send(FROM_CHILD.violation, new TextEncoder().encode(error.message))
  pipe.flush()
  process.exit(0)
}
// IronRDP's work, and what it draws, is done in promises of its own.
process.on('uncaughtException', violated)

/** IronRDP does its work in microtasks: when this resolves, it has done all it can with what it was given. */
const settled = () => new Promise<void>((done) => setImmediate(done))

async function take(type: number, payload: Uint8Array): Promise<void> {
  switch (type) {
    case TO_CHILD.start: {
      const { start, password } = readStart(payload)
      payload.fill(0)
      decoder = new RdpDecoder(start, password, events)
      decoder.connect(start)
      return
    }
    case TO_CHILD.bytes:
      decoder?.bytes(payload)
      await settled()
      return
    case RDP_TO_CHILD.run:
      decoder?.run()
      await settled()
      return
    case RDP_TO_CHILD.again:
      pipe.send(RDP_FROM_CHILD.switched)
      decoder?.connect(JSON.parse(new TextDecoder().decode(payload)))
      return
    case RDP_TO_CHILD.clipboard:
      decoder?.clipboard(new TextDecoder().decode(payload))
      return
  }
}

const reader = new FrameReader()
try {
  for await (const chunk of process.stdin) {
    const messages: [type: number, payload: Uint8Array][] = []
    reader.push(chunk, (type, payload) => messages.push([type, payload]))
    for (const [type, payload] of messages) await take(type, payload)
    await settled()
    decoder?.flush()
    pipe.flush()
  }
  decoder?.lost()
} catch (error) {
  violated(error)
}
process.exit(0)
