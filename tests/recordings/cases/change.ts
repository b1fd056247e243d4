import { keyPath } from '../../../recordings/format/package-layout.ts'
import {
  approverNamed,
  type ChunkPlan,
  CLOSES,
  dataKeyOf,
  type FixtureAsset,
  ids,
  keys,
  OPENS,
  type Plan,
  type SegmentPlan,
} from '../fixture.ts'
import { wrapByHand } from '../fixture-jwe.ts'
import { idOf } from '../fixture-keys.ts'

/** Changes the frames of one segment after it was sealed; the list of files is signed over the result. */
export function reframed(segment: number, change: (parts: Buffer[]) => Buffer[]): Plan {
  return {
    frames: (parts, header) =>
      header.stream === 'screen' && header.segment === segment ? change(parts) : parts,
  }
}

export function flipped(part: Buffer | undefined, at: number): Buffer {
  const copy = Buffer.from(part ?? [])
  const index = at < 0 ? copy.length + at : at
  copy[index] = (copy[index] as number) ^ 1
  return copy
}

/** A frame with another u32 written at a place of its header. */
export function overwritten(part: Buffer | undefined, at: number, value: number): Buffer {
  const copy = Buffer.from(part ?? [])
  copy.writeUInt32BE(value, at)
  return copy
}

/** The start of a segment file with other header JSON. */
export function reworded(part: Buffer | undefined, from: string, to: string): Buffer {
  const json = Buffer.from((part ?? Buffer.alloc(8)).subarray(8).toString().replace(from, to))
  const length = Buffer.alloc(4)
  length.writeUInt32BE(json.length)
  return Buffer.concat([Buffer.from('SPR1'), length, json])
}

export function swapped<T>(parts: T[], a: number, b: number): T[] {
  const copy = [...parts]
  ;[copy[a], copy[b]] = [copy[b] as T, copy[a] as T]
  return copy
}

export const onSegment =
  (stream: string, number: number, change: (plan: SegmentPlan) => void) => (plans: SegmentPlan[]) => {
    const found = plans.find((plan) => plan.stream === stream && plan.number === number)
    if (found) change(found)
  }

export const onFirstApproval = (change: (text: string) => string) => (files: Map<string, Buffer>) => {
  const path = [...files.keys()].find((name) => name.startsWith('approvals/')) as string
  files.set(path, Buffer.from(change((files.get(path) as Buffer).toString())))
}

export const ruled = (need: number, role: string) => (asset: FixtureAsset) => {
  asset.rule = { id: idOf('rule'), need, roles: [role] }
}

export const endsAt =
  (ms: number): NonNullable<Plan['laterGrant']> =>
  (grant) => {
    grant.exp = ms / 1000
  }

export const extendedByTwo: Plan = {
  extended: true,
  extenders: [
    { by: approverNamed('approver', 'ES256'), constraints: {} },
    {
      by: approverNamed('second', 'EdDSA'),
      constraints: { closesAt: new Date(CLOSES + 900_000).toISOString() },
    },
  ],
}

/** A COSE_Key with one more pair, given as hex. */
export function withPair(key: Buffer, pair: string): Buffer {
  const more = Buffer.concat([key, Buffer.from(pair, 'hex')])
  more[0] = (more[0] as number) + 1
  return more
}

/** The last chunk of a screen segment, which ends the recording. */
export const onLastChunk = (change: (chunk: ChunkPlan) => void) =>
  onSegment('screen', 1, (plan) => {
    const last = plan.chunks.at(-1)
    if (last) change(last)
  })

/** The grant ends before the second input segment begins. */
export const endsBeforeSecondInput: Plan = {
  grant: (grant) => {
    grant.exp = OPENS / 1000 + 60 + 250
  },
}

/** The usual wrap of a segment's key, also for the input stream, which a package does not open otherwise. */
export const wrapInput = (number: number) => (files: Map<string, Buffer>) => {
  const segment = { stream: 'input', number } as const
  const name = { recording: ids.recording, stream: 'input', segment: number } as const
  const wrap = wrapByHand(dataKeyOf(segment), name, [keys.recipient.pub])
  files.set(keyPath('input', number), Buffer.from(JSON.stringify(wrap)))
}
