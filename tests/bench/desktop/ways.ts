import { spawn } from 'node:child_process'
import { once } from 'node:events'
import { existsSync } from 'node:fs'
import { connect } from 'node:net'
import WebSocket from 'ws'
import { RfbReader } from '../../../gateway/desktop/testing/rfb-reader.ts'
import { freePort } from '../../lab/free-port.ts'
import { until } from '../../lab/until.ts'
import type { LabVnc } from '../../lab/vnc-server.ts'
import type { OwnPlant } from '../plant/own-plant.ts'
import { sessionSocket } from '../plant/session-socket.ts'
import { Coverage, type Desktop, type DesktopWay } from './desktop-way.ts'
import { GuacamoleDesktop } from './guacamole-desktop.ts'
import type { Guacd } from './guacd.ts'
import { RfbDesktop, type Update } from './rfb-desktop.ts'

/** When nothing has come for so long, the first picture is there. */
const STILL_MS = 300
/** Pixels that may differ from the X server's own picture: its pointer stands in one of them. */
const POINTER_PIXELS = 1024

/** When the first picture was there, as `found` tells it of all that has come once nothing more comes. */
async function firstPicture(
  shown: { updates: number },
  lost: () => Error | null,
  found: () => number | null,
): Promise<number> {
  let seen = -1
  let at: number | null = null
  await until(
    async () => {
      const error = lost()
      if (error) throw error
      if (shown.updates > 0 && seen === shown.updates) at = found()
      seen = shown.updates
      if (at === null) await new Promise((done) => setTimeout(done, STILL_MS))
      return at !== null
    },
    'the first picture',
    30_000,
  )
  return at ?? Number.NaN
}

/**
 * Our own: a session that has been approved and opened (request, decision, notice and ticket lie before the clock); from
 * the browser's connecting on it is all in: TLS, the ticket checked at broker and gateway, the splice, the credential from
 * the vault, the sign-in at the asset, the decoding child, the recording begun on the disk, RFB's own greeting.
 */
export function ownWay(plant: OwnPlant): DesktopWay {
  return {
    name: 'Sallyport',
    pid: plant.pid,
    recordedBytes: () => plant.recordedBytes(),
    async open(expected) {
      const session = await plant.openSession(0)
      const began = performance.now()
      const socket = sessionSocket(session)
      const opened = await overSocket(socket, '', () => socket.send(JSON.stringify({ type: 'start' })))
      const firstAt = await opened.first(() =>
        firstTruePicture(opened.rfb, opened.updates, opened.bytes(), expected),
      )
      return opened.desktop(firstAt - began, async () => {
        const closed = once(socket, 'close')
        socket.send(JSON.stringify({ type: 'leave' }))
        await closed
      })
    },
  }
}

/** When the picture became the X server's own: what is black before the asset has answered is none. */
function firstTruePicture(
  rfb: RfbDesktop,
  updates: readonly Update[],
  bytes: Buffer,
  expected: Uint8Array,
): number | null {
  const reader = new RfbReader()
  reader.init(rfb.init)
  let begin = 0
  for (const { at, end } of updates) {
    reader.read(bytes.subarray(begin, end))
    begin = end
    if (differing(reader.picture, expected) <= POINTER_PIXELS) return at
  }
  return null
}

function differing(picture: Uint8Array, expected: Uint8Array): number {
  if (picture.length !== expected.length) return Number.POSITIVE_INFINITY
  let count = 0
  for (let at = 0; at < picture.length; at += 4)
    if (
      picture[at] !== expected[at] ||
      picture[at + 1] !== expected[at + 1] ||
      picture[at + 2] !== expected[at + 2]
    )
      count += 1
  return count
}

/** noVNC's other end as it is usually set up; without TLS, in its favour. Null when it is not installed. */
export async function websockifyWay(vnc: LabVnc): Promise<(DesktopWay & { stop(): Promise<void> }) | null> {
  if (!existsSync('/usr/bin/websockify')) return null
  const port = await freePort()
  const child = spawn('/usr/bin/websockify', [`127.0.0.1:${port}`, `${vnc.host}:${vnc.port}`], {
    stdio: 'ignore',
  })
  await until(() => listens(port), 'websockify listens')
  return {
    name: 'noVNC + websockify',
    pid: child.pid ?? -1,
    recordedBytes: async () => null,
    async open() {
      const began = performance.now()
      const socket = new WebSocket(`ws://127.0.0.1:${port}`, ['binary'], { perMessageDeflate: false })
      const opened = await overSocket(socket, vnc.password, () => {})
      const firstAt = await opened.first(() => firstWhole(opened.updates, opened.rfb.size))
      return opened.desktop(firstAt - began, async () => {
        const closed = once(socket, 'close')
        socket.close(1000)
        await closed
      })
    },
    async stop() {
      const ended = once(child, 'exit')
      child.kill()
      await ended
    },
  }
}

function firstWhole(
  updates: readonly Pick<Update, 'at' | 'areas'>[],
  { width, height }: { width: number; height: number },
): number | null {
  const coverage = new Coverage(width, height)
  for (const { at, areas } of updates) {
    for (const area of areas) coverage.add(area)
    if (coverage.isWhole) return at
  }
  return null
}

/** RFB over a WebSocket, either one. */
async function overSocket(socket: WebSocket, password: string, begin: () => void) {
  const updates: Update[] = []
  let isOpening = true
  let lost: Error | null = null
  let listener = () => {}
  const normal: Buffer[] = []
  const rfb = new RfbDesktop(
    (bytes) => socket.send(bytes),
    password,
    (update) => {
      if (isOpening) updates.push(update)
      listener()
    },
  )
  socket.on('message', (bytes: Buffer, isBinary: boolean) => {
    if (!isBinary) return
    if (isOpening) normal.push(bytes)
    try {
      rfb.receive(bytes)
    } catch (error) {
      lost = error instanceof Error ? error : new Error(String(error))
    }
  })
  socket.on('error', (error) => {
    lost = error
  })
  socket.on('close', (code, reason) => {
    lost ??= new Error(`the socket was closed: ${code} ${reason.toString()}`)
  })
  socket.once('open', begin)
  return {
    rfb,
    updates: updates as readonly Update[],
    first: async (found: () => number | null) => {
      const at = await firstPicture(rfb.shown, () => lost, found)
      isOpening = false
      return at
    },
    /** What came after ServerInit. */
    bytes: () => Buffer.concat(normal).subarray(rfb.greetingBytes),
    desktop: (firstPictureMs: number, close: () => Promise<void>): Desktop => ({
      firstPictureMs,
      size: rfb.size,
      shown: rfb.shown,
      onUpdate: (next) => {
        listener = next
      },
      key: (down, keysym) => rfb.key(down, keysym),
      pointer: (buttons, x, y) => rfb.pointer(buttons, x, y),
      close,
    }),
  }
}

/** guacd with its own recording on. */
export function guacdWay(guacd: Guacd, vnc: LabVnc): DesktopWay {
  return {
    name: 'guacd',
    pid: guacd.pid,
    recordedBytes: () => guacd.takeRecording(),
    async open() {
      const frames: { at: number; areas: Update['areas'] }[] = []
      let listener = () => {}
      let lost: Error | null = null
      let isOpening = true
      const began = performance.now()
      const guacamole = new GuacamoleDesktop(
        guacd.port,
        {
          hostname: vnc.host,
          port: String(vnc.port),
          password: vnc.password,
          'recording-path': guacd.recordings,
          'recording-name': 'bench',
        },
        (frame) => {
          if (isOpening) frames.push(frame)
          listener()
        },
        (error) => {
          lost ??= error
        },
      )
      const firstAt = await firstPicture(
        guacamole.shown,
        () => lost,
        () => firstWhole(frames, guacamole.size),
      )
      isOpening = false
      return {
        firstPictureMs: firstAt - began,
        size: guacamole.size,
        shown: guacamole.shown,
        onUpdate: (next) => {
          listener = next
        },
        key: (down, keysym) => guacamole.key(down, keysym),
        pointer: (buttons, x, y) => guacamole.pointer(buttons, x, y),
        close: () => guacamole.close(),
      }
    },
  }
}

function listens(port: number): Promise<boolean> {
  return new Promise((resolve) => {
    const probe = connect(port, '127.0.0.1')
    probe.once('connect', () => {
      probe.destroy()
      resolve(true)
    })
    probe.once('error', () => resolve(false))
  })
}
