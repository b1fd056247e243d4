import type { SegmentHeader } from '../../recordings/format/header.ts'
import { type DesktopFacts, RecordEncoder } from '../../recordings/format/rfb-record.ts'
import type { ChunkPlan, Plan, SegmentPlan } from './fixture.ts'
import { hashHex } from './fixture-keys.ts'
import {
  changes,
  copied,
  cursor,
  cutText,
  desktopSize,
  fill,
  key,
  pointer,
  scancode,
  serverInit,
  update,
} from './fixture-rfb.ts'

const CERTIFICATE = hashHex('certificate')
export const PIN = {
  algorithm: 'x509-sha256',
  fingerprint: `SHA256:${Buffer.from(CERTIFICATE, 'hex').toString('base64').replace(/=+$/, '')}`,
}

export type Message = Uint8Array | ((header: SegmentHeader) => Uint8Array)

export function facts(change: Partial<DesktopFacts> & Record<string, unknown> = {}): Message {
  return ({ recording, stream, segment }) =>
    Buffer.from(
      JSON.stringify({
        v: 1,
        recording,
        stream,
        segment,
        timestamp: 1_795_482_060,
        person: { name: 'Kim Sørensen', company: 'Packline GmbH' },
        asset: 'Packaging PLC 4',
        site: 'Nordfjord',
        ...change,
      }),
    )
}

/** A chunk of these messages, all of one time. */
export function messages(at: number, list: Message[], meta: ChunkPlan['meta'] = {}): ChunkPlan {
  return {
    t0: at,
    t1: at,
    meta,
    content: (header) => {
      const records = new RecordEncoder()
      for (const one of list) records.add(at * 1000, one instanceof Uint8Array ? one : one(header))
      return Buffer.from(records.view())
    },
  }
}

export const keyframe = (): Message[] => [
  serverInit(),
  update(cursor()),
  update(fill([0, 0, 40, 20]), copied([0, 20, 40, 10])),
]

function segments(): SegmentPlan[] {
  const begin = (at: number, list: Message[]) => messages(at, [facts(), ...list], { keyframe: true })
  const end = (at: number): ChunkPlan => ({ t0: at, t1: at, meta: { final: true } })
  const [init, pointerAlone, ...pictures] = keyframe()
  return [
    {
      stream: 'screen',
      number: 0,
      // A large keyframe is several chunks.
      chunks: [
        begin(0, [init, pointerAlone] as Message[]),
        messages(0, pictures, { keyframe: true }),
        messages(1_200, changes()),
        end(300_000),
      ],
    },
    {
      stream: 'screen',
      number: 1,
      chunks: [
        begin(300_000, keyframe()),
        messages(310_000, [update(desktopSize(64, 16)), update(fill([0, 0, 64, 16]))]),
        messages(600_000, [update(copied([60, 10, 4, 6]))], { final: true }),
      ],
    },
    {
      stream: 'input',
      number: 0,
      chunks: [
        begin(0, []),
        messages(1_500, [key(true, 0x73), scancode(true, 0x65, 0x12), pointer(1, 3, 4), pointer(0x81, 3, 4)]),
        end(300_000),
      ],
    },
    {
      stream: 'input',
      number: 1,
      chunks: [begin(300_000, []), messages(330_000, [cutText('flash --verify')]), end(600_000)],
    },
  ]
}

/** A package about a desktop session; `change` alters its segments before they are sealed. */
export function desktop(change: (plans: SegmentPlan[]) => void = () => {}, more: Plan = {}): Plan {
  return {
    ...more,
    snapshot: (snapshot) => {
      snapshot.protocol = 'vnc'
      more.snapshot?.(snapshot)
    },
    grant: (grant) => {
      grant.protocol = 'vnc'
      grant.identities = [PIN]
      grant.vnc = { security: 'x509', authentication: 'password' }
      more.grant?.(grant)
    },
    header: (header) => {
      header.media = 'rfb-v1'
      header.sampling_ms = 100
      header.target = { kind: 'certificate', fingerprint: CERTIFICATE }
      more.header?.(header)
    },
    segments: (plans) => {
      plans.splice(0, plans.length, ...segments())
      change(plans)
    },
  }
}
