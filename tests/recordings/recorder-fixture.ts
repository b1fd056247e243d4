import { createPublicKey, generateKeyPairSync, type KeyObject } from 'node:crypto'
import { mkdtemp, readFile, rm } from 'node:fs/promises'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { systemClock } from '../../broker/domain/clock.ts'
import { type Grant, type JsonWebKeyPublic, JWS_TYPES } from '../../broker/domain/grant.ts'
import { newId } from '../../broker/domain/ids.ts'
import { FrameOpener } from '../../recordings/format/frame-opener.ts'
import { verifyJws } from '../../recordings/format/jws.ts'
import { type Manifest, manifest } from '../../recordings/format/manifest.ts'
import { SegmentReader } from '../../recordings/format/segment-reader.ts'
import { parseWrap, unwrapDataKey } from '../../recordings/format/wrap.ts'
import type { RecorderOptions } from '../../recordings/recorder/api.ts'
import { type ScreenModelPort, screenModelOver } from '../../recordings/screen-model/port.ts'
import { type ScreenModelThread, startScreenModel } from '../../recordings/screen-model/start.ts'
import { contentChecker } from '../../recordings/verify/content.ts'

export interface Keys {
  signing: { kid: string; key: KeyObject }
  signingX: string
  replay: { public: JsonWebKeyPublic; private: Record<string, unknown> }
  input: { public: JsonWebKeyPublic; private: Record<string, unknown> }
  escrow: { public: JsonWebKeyPublic; private: Record<string, unknown> }
}

function agreementKey(kid: string): Keys['replay'] {
  const { privateKey, publicKey } = generateKeyPairSync('ec', { namedCurve: 'P-256' })
  const exported = publicKey.export({ format: 'jwk' })
  return {
    public: { kty: 'EC', crv: 'P-256', x: exported.x ?? '', y: exported.y ?? '', kid },
    private: { ...privateKey.export({ format: 'jwk' }), kid },
  }
}

export function newKeys(): Keys {
  const { privateKey } = generateKeyPairSync('ed25519')
  const x = createPublicKey(privateKey).export({ format: 'jwk' }).x ?? ''
  return {
    signing: { kid: 'gateway-1', key: privateKey },
    signingX: x,
    replay: agreementKey('replay'),
    input: agreementKey('input'),
    escrow: agreementKey('escrow'),
  }
}

/** Keys written to and read from a file, for a child process. */
export function exportSigning(keys: Keys): string {
  return keys.signing.key.export({ format: 'pem', type: 'pkcs8' }) as string
}

export function newGrant(keys: Pick<Keys, 'replay' | 'input' | 'escrow'>): Grant {
  const now = Math.floor(Date.now() / 1000)
  return {
    v: 1,
    jti: newId(),
    serial: 1,
    iat: now,
    exp: now + 3600,
    deployment: newId(),
    session: newId(),
    recording: newId(),
    gateway: newId(),
    site: { id: newId(), name: 'Plant North', timeZone: 'Europe/Berlin' },
    asset: { id: newId(), name: 'Line 3 HMI', criticality: 'C3', hash: 'c'.repeat(64) },
    endpoint: newId(),
    protocol: 'ssh',
    address: { host: '192.0.2.1', port: 22 },
    identities: [{ algorithm: 'ssh-ed25519', fingerprint: `SHA256:${'A'.repeat(43)}` }],
    account: 'engineer',
    features: [],
    viewOnly: false,
    person: { id: newId(), pseudonym: 'p-7d3f', name: 'Ada Example', company: 'Example Robotics' },
    request: { id: newId(), version: 1, ticketKey: 'CHG0001', purpose: 'Firmware update' },
    snapshotHash: 'd'.repeat(64),
    approvals: ['e'.repeat(64)],
    policyHash: 'b'.repeat(64),
    ending: { mode: 'grace', holdSeconds: 600, inputDuringGrace: false },
    idleSeconds: 900,
    browserHoldSeconds: 120,
    recordingKeys: { replay: keys.replay.public, input: keys.input.public, escrow: keys.escrow.public },
  }
}

export interface Fixture {
  keys: Keys
  spool: string
  model: ScreenModelPort
  thread: ScreenModelThread
  options(change?: Partial<RecorderOptions>): RecorderOptions
  dispose(): Promise<void>
}

export async function recorderFixture(): Promise<Fixture> {
  const spool = await mkdtemp(join(tmpdir(), 'sallyport-recorder-'))
  const keys = newKeys()
  const thread = startScreenModel()
  const model = screenModelOver(thread.connect())
  return {
    keys,
    spool,
    model,
    thread,
    options: (change = {}) => ({
      grant: newGrant(keys),
      grantHash: 'a'.repeat(64),
      ticketHash: null,
      gateway: { id: newId(), version: '0.1.0', bootId: newId(), signing: keys.signing },
      target: { kind: 'ssh-host-key', algorithm: 'ssh-ed25519', fingerprint: `SHA256:${'A'.repeat(43)}` },
      spool,
      clock: systemClock,
      clockState: { source: 'system', offsetMs: null },
      screenModel: model,
      size: { cols: 80, rows: 24 },
      ...change,
    }),
    async dispose() {
      model.close()
      await thread.stop()
      await rm(spool, { recursive: true, force: true })
    },
  }
}

export interface OpenedSegment {
  flags: number[]
  header: { width: number; height: number; sallyport: Record<string, unknown> }
  events: [number, string, string][]
  final: boolean
  bytes: number
}

/** The screen's or input's segment and the key that opens it. */
export interface SegmentAsked {
  spool: string
  recording: string
  stream: 'screen' | 'input'
  segment: number
  key: Record<string, unknown>
  /** Bytes that count; all of them when left out. */
  limit?: number
}

/** Verifies and decrypts one segment, as an auditor with the key would. Throws on any fault. */
export async function openChunks({ spool, recording, stream, segment, key, limit }: SegmentAsked) {
  const folder = join(spool, recording)
  const reader = new SegmentReader()
  const file = await readFile(join(folder, stream, `${segment}.spr`))
  reader.push(limit === undefined ? file : file.subarray(0, limit))
  reader.end()
  if (reader.fault) throw new Error(`${reader.fault.code}: ${reader.fault.message}`)
  if (!reader.header || !reader.hh) throw new Error('no header')
  const wrap = parseWrap(await readFile(join(folder, 'keys', reader.header.key_object), 'utf8'), {
    recording,
    stream,
    segment,
  })
  if (!wrap.ok) throw new Error(wrap.code)
  const dataKey = await unwrapDataKey(wrap.value, key)
  if (!dataKey.ok) throw new Error(dataKey.code)
  const opener = new FrameOpener(dataKey.value)
  const checker = contentChecker(reader.header)
  const frames = reader.frames()
  const plain = frames.map((frame) => {
    const opened = opener.open(frame)
    if (!opened.ok) throw new Error(opened.code)
    const fault = checker.check(frame, opened.value)
    if (fault) throw new Error(`${fault.code}: ${fault.message}`)
    return opened.value
  })
  return { header: reader.header, frames, plain, final: reader.final, bytes: file.length }
}

/** Parses a terminal's segment too. */
export async function openSegment(
  spool: string,
  recording: string,
  stream: 'screen' | 'input',
  segment: number,
  key: Record<string, unknown>,
  limit?: number,
): Promise<OpenedSegment> {
  const asked = { spool, recording, stream, segment, key, ...(limit === undefined ? {} : { limit }) }
  const { frames, plain, final, bytes } = await openChunks(asked)
  const lines = Buffer.concat(plain).toString('utf8').split('\n')
  if (lines.pop() !== '') throw new Error('the last line is not whole')
  return {
    flags: frames.map((frame) => frame.flags),
    header: JSON.parse(lines[0] ?? ''),
    events: lines.slice(1).map((line) => JSON.parse(line)),
    final,
    bytes,
  }
}

export async function readManifest(jws: string, keys: Pick<Keys, 'signingX'>): Promise<Manifest> {
  const read = await verifyJws(jws, JWS_TYPES.manifest, manifest, keys.signingX)
  if (!read.ok) throw new Error(`${read.code}: ${read.message}`)
  return read.value.payload
}
