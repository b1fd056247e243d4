import { connect, createServer, type Socket } from 'node:net'
import { systemClock } from '../../broker/domain/clock.ts'
import { DecoderSpares } from '../../gateway/desktop/child/spares.ts'
import { openRdp, type RdpHouse, type RdpTarget } from '../../gateway/desktop/rdp/open-rdp.ts'
import { rdpProgram } from '../../gateway/desktop/rdp/rdp-program.ts'
import type { Desk } from '../../gateway/desktop/source.ts'
import { describeCertificate } from '../../gateway/target/certificate.ts'
import type { PixelCanvas } from '../lab/pixel-canvas.ts'
import type { LabRdp } from '../lab/rdp-server.ts'
import { until } from '../lab/until.ts'
import { listener, never, passwordOf } from './vnc-support.ts'

export const startRdpSpares = () => DecoderSpares.start(rdpProgram(), systemClock)

export const DESK: Desk = { size: { width: 800, height: 600 }, keyboard: 'en-US' }

export function rdpTarget(lab: LabRdp, rules: Partial<RdpTarget> = {}): RdpTarget {
  return {
    address: { host: lab.host, port: lab.port },
    identities: [describeCertificate(lab.certificate)],
    account: lab.user,
    security: 'nla',
    clipboard: { in: false, out: false },
    ...rules,
  }
}

export interface RdpWishes {
  rules?: Partial<RdpTarget>
  desk?: Partial<Desk>
  depth?: RdpHouse['depth']
  password?: string
  times?: RdpHouse['times']
}

/** Tries to open; `asked`: how often the credential was fetched. */
export async function tryRdp(lab: LabRdp, children: DecoderSpares, wishes: RdpWishes = {}) {
  const { heard, events } = listener()
  const target = rdpTarget(lab, wishes.rules)
  const { asked, login } = passwordOf(wishes.password ?? lab.password, target.account)
  const answer = await openRdp(target, { ...DESK, ...wishes.desk }, login, events, never, {
    clock: systemClock,
    children,
    ...(wishes.depth ? { depth: wishes.depth } : {}),
    ...(wishes.times ? { times: wishes.times } : {}),
  })
  return { heard, asked, answer }
}

/** Opens and starts the pictures, or throws what went wrong. */
export async function openRdpLab(lab: LabRdp, children: DecoderSpares, wishes: RdpWishes = {}) {
  const { heard, answer } = await tryRdp(lab, children, wishes)
  if (!answer.ok) throw new Error(answer.failure.code)
  answer.opened.source.resume()
  return { heard, ...answer.opened }
}

/**
 * Waits until the canvas shows what the X server has, as far as its codec lets it: `most` for the furthest component,
 * `mean` for all of them. Says how far it was when it never does.
 */
export async function alike(
  heard: { canvas: PixelCanvas },
  lab: { picture(): Promise<{ width: number; height: number; pixels: Uint8Array }> },
  { most, mean }: { most: number; mean: number },
  patience = 20_000,
) {
  let last = 'nothing'
  await until(
    async () => {
      // An X server that is changing its size has no picture.
      const picture = await lab.picture().catch(() => null)
      if (!picture) return false
      const { width, height, pixels } = picture
      const { canvas } = heard
      if (canvas.width !== width || canvas.height !== height) {
        last = `${canvas.width}x${canvas.height} against ${width}x${height}`
        return false
      }
      let furthest = 0
      let sum = 0
      for (let n = 0; n < pixels.length; n++) {
        const distance = Math.abs((canvas.pixels[n] ?? 0) - (pixels[n] ?? 0))
        sum += distance
        if (distance > furthest) furthest = distance
      }
      last = `up to ${furthest}, on average ${sum / pixels.length}`
      return furthest <= most && sum / pixels.length <= mean
    },
    'the picture is the X server’s',
    patience,
  ).catch((error) => {
    throw new Error(`${String(error)}: ${last}`)
  })
}

/** Presses and lets go. */
export function press(
  source: { key(down: boolean, keysym: number, scancode: number | null): void },
  keysym: number,
  scancode: number | null = null,
) {
  source.key(true, keysym, scancode)
  source.key(false, keysym, scancode)
}

/** A server that answers a connection with these packets, one for each that the client sends, and then with nothing. */
export async function scripted(answers: readonly Uint8Array[]) {
  const sockets = new Set<Socket>()
  const heard = { bytes: Buffer.alloc(0) }
  const server = createServer((socket) => {
    sockets.add(socket)
    let next = 0
    socket.on('error', () => {})
    socket.on('data', (chunk: Buffer) => {
      heard.bytes = Buffer.concat([heard.bytes, chunk])
      const answer = answers[next++]
      if (answer) socket.write(answer)
    })
  })
  await new Promise<void>((done) => server.listen(0, '127.0.0.1', done))
  const address = server.address()
  const port = typeof address === 'object' && address ? address.port : 0
  return {
    port,
    heard,
    async stop() {
      for (const socket of sockets) socket.destroy()
      await new Promise((done) => server.close(done))
    },
  }
}

/** A line to a server that can be cut, as by somebody who pulls the cable, or led to another one for what comes next. */
export async function line(first: { host: string; port: number }) {
  let to = first
  const sockets = new Set<Socket>()
  const server = createServer((near) => {
    const far = connect(to.port, to.host)
    for (const [one, other] of [
      [near, far],
      [far, near],
    ] as const) {
      sockets.add(one)
      one.on('error', () => {})
      one.on('close', () => other.destroy())
      one.pipe(other)
    }
  })
  await new Promise<void>((done) => server.listen(0, '127.0.0.1', done))
  const address = server.address()
  const port = typeof address === 'object' && address ? address.port : 0
  const cut = () => {
    for (const socket of sockets) socket.destroy()
  }
  return {
    host: '127.0.0.1',
    port,
    cut,
    lead(next: { host: string; port: number }) {
      to = next
    },
    async stop() {
      cut()
      await new Promise((done) => server.close(done))
    },
  }
}
