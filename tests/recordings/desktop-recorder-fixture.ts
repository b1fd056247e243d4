import { systemClock } from '../../broker/domain/clock.ts'
import { newId } from '../../broker/domain/ids.ts'
import type { EncodePool } from '../../gateway/desktop/encode/pool.ts'
import { TileEncoder } from '../../gateway/desktop/encode/tile-encoder.ts'
import { DesktopFrames } from '../../gateway/desktop/frames.ts'
import { Screen } from '../../gateway/desktop/screen/screen.ts'
import { pixels, random, shown } from '../../gateway/desktop/testing/painting.ts'
import { RfbReader } from '../../gateway/desktop/testing/rfb-reader.ts'
import { FLAG } from '../../recordings/format/frame.ts'
import { type DesktopFacts, desktopFacts, readRecords } from '../../recordings/format/rfb-record.ts'
import type { DesktopRecorder, DesktopRecorderOptions } from '../../recordings/recorder/api.ts'
import { openDesktopRecorder } from '../../recordings/recorder/desktop-recorder.ts'
import { type Keys, newGrant, openChunks, type SegmentAsked } from './recorder-fixture.ts'

const CERTIFICATE = 'ab'.repeat(32)
export const CERTIFICATE_PIN = {
  algorithm: 'x509-sha256',
  fingerprint: `SHA256:${Buffer.from(CERTIFICATE, 'hex').toString('base64').replace(/=+$/, '')}`,
}

export function desktopGrant(keys: Keys): DesktopRecorderOptions['grant'] {
  return {
    ...newGrant(keys),
    protocol: 'vnc',
    address: { host: '192.0.2.1', port: 5900 },
    identities: [CERTIFICATE_PIN],
    vnc: { security: 'x509', authentication: 'password' },
    account: 'vnc',
  }
}

export function desktopOptions(
  keys: Keys,
  spool: string,
  keyframe: DesktopRecorderOptions['keyframe'],
): DesktopRecorderOptions {
  return {
    grant: desktopGrant(keys),
    grantHash: 'a'.repeat(64),
    ticketHash: null,
    gateway: { id: newId(), version: '0.1.0', bootId: newId(), signing: keys.signing },
    target: { kind: 'certificate', fingerprint: CERTIFICATE },
    spool,
    clock: systemClock,
    clockState: { source: 'system', offsetMs: null },
    keyframe,
  }
}

/** A desktop that a test paints, recorded as a gateway records it. */
export interface PaintedDesktop {
  screen: Screen
  frames: DesktopFrames
  recorder: DesktopRecorder
  /** Paints a whole desktop: windows, text, a gradient and a photograph. */
  paint(seed: number): void
  /** The last sample, then the end. */
  close(): ReturnType<DesktopRecorder['close']>
}

export async function paintedDesktop(
  pool: EncodePool,
  size: { width: number; height: number },
  options: (keyframe: DesktopRecorderOptions['keyframe']) => DesktopRecorderOptions,
): Promise<PaintedDesktop> {
  const screen = new Screen(size.width, size.height)
  const frames = new DesktopFrames(screen, new TileEncoder(screen, pool), {
    name: 'pump 7',
    failed: () => {},
  })
  const recorder = await openDesktopRecorder(options(() => frames.keyframe()))
  frames.start((messages) => recorder.frame(messages))
  recorder.onDrain(() => frames.resume())
  return {
    screen,
    frames,
    recorder,
    paint: (seed) => paintDesktop(screen, seed),
    async close() {
      await frames.sample()
      await frames.close()
      return await recorder.close({ reason: 'vendor-left' })
    },
  }
}

export function paintDesktop(screen: Screen, seed: number): void {
  const next = random(seed)
  const { width, height } = screen.grid
  screen.fill({ x: 0, y: 0, width, height }, next(0xffffff))
  for (let window = 0; window < 4; window++) {
    const rect = { x: next(width - 40), y: next(height - 40), width: 0, height: 0 }
    rect.width = 1 + next(width - rect.x)
    rect.height = 1 + next(height - rect.y)
    screen.fill(rect, 0xf0f0f0)
    const text = { ...rect, width: Math.min(rect.width, 120), height: Math.min(rect.height, 90) }
    screen.put(text, pixels(text, [2, 12, 200, 5000][window] ?? 2, next))
  }
  screen.flush()
}

export const picture = (screen: Screen) => Buffer.from(shown(screen))

export interface OpenedDesktopSegment {
  flags: number[]
  facts: DesktopFacts
  /** Messages of the keyframe, and those after it. */
  keyframe: Buffer[]
  changes: { micros: number; message: Buffer }[]
  final: boolean
}

/** Verifies, decrypts and splits one segment. Throws on any fault. */
export async function openDesktopSegment(asked: SegmentAsked): Promise<OpenedDesktopSegment> {
  const { frames, plain, final } = await openChunks(asked)
  const all = plain.flatMap((chunk, at) => {
    const records = readRecords(chunk)
    if (!records.ok) throw new Error(records.code)
    const isKeyframe = ((frames[at]?.flags ?? 0) & FLAG.keyframe) !== 0
    return records.value.map((record) => ({ ...record, isKeyframe }))
  })
  const [facts, ...rest] = all
  return {
    flags: frames.map(({ flags }) => flags),
    facts: desktopFacts.parse(JSON.parse(facts?.message.toString('utf8') ?? '')),
    keyframe: rest.filter(({ isKeyframe }) => isKeyframe).map(({ message }) => message),
    changes: rest.filter(({ isKeyframe }) => !isKeyframe),
    final,
  }
}

/** What somebody sees who begins at the segment's keyframe; `reader` goes on from an earlier segment instead. */
export function played({ keyframe, changes }: OpenedDesktopSegment, reader?: RfbReader): RfbReader {
  const one = reader ?? new RfbReader()
  if (!reader) {
    const [init, ...pictures] = keyframe
    one.init(init ?? new Uint8Array(0))
    for (const message of pictures) one.read(message)
  }
  // A marker is no message of RFB: a player shows it on the timeline.
  for (const { message } of changes) if (message[0] !== 77) one.read(message)
  return one
}
