import { dataKeyCommitment } from '../data-key.ts'
import type { SegmentHeader } from '../header.ts'

const id = (digit: string) =>
  `0193${digit.repeat(4)}-${digit.repeat(4)}-7${digit.repeat(3)}-8${digit.repeat(3)}-${digit.repeat(12)}`

/** A valid header for tests; change what the test is about. */
export function exampleHeader(dataKey: Uint8Array, change: Partial<SegmentHeader> = {}): SegmentHeader {
  return {
    v: 1,
    deployment: id('1'),
    site: id('2'),
    recording: id('3'),
    session: id('4'),
    stream: 'screen',
    segment: 0,
    prev: null,
    grant: 'a'.repeat(64),
    policy: 'b'.repeat(64),
    asset: 'c'.repeat(64),
    target: { kind: 'ssh-host-key', algorithm: 'ssh-ed25519', fingerprint: `SHA256:${'A'.repeat(43)}` },
    user: 'p-7d3f',
    account: 'engineer',
    gateway: { id: id('5'), version: '0.1.0', boot: id('6') },
    clock: { wall_ms: 1_795_482_000_000, t_ms: 0, source: 'system', offset_ms: 12 },
    media: 'asciicast-v2',
    sampling_ms: 0,
    dek_commitment: dataKeyCommitment(dataKey),
    key_object: 'screen-0.jwe',
    ...change,
  }
}
