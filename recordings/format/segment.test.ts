import { createHash } from 'node:crypto'
import fc from 'fast-check'
import { describe, expect, it } from 'vitest'
import { newDataKey } from './data-key.ts'
import { FRAME_HEADER_BYTES } from './frame.ts'
import { FrameOpener } from './frame-opener.ts'
import { FrameSealer } from './frame-sealer.ts'
import { buildHeader, parseHeader } from './header.ts'
import { SegmentReader } from './segment-reader.ts'
import { exampleHeader } from './testing/example-header.ts'

const key = newDataKey()

function segment(chunks: string[], change: Partial<ReturnType<typeof exampleHeader>> = {}) {
  const header = buildHeader(exampleHeader(key, change))
  const sealer = new FrameSealer(key, header.hh)
  const frames = chunks.map((text, at) =>
    Buffer.concat(
      sealer.seal(Buffer.from(text), {
        t0Ms: at * 10,
        t1Ms: at * 10 + 5,
        keyframe: at === 0,
        final: at === chunks.length - 1,
        deflate: at % 2 === 1,
      }).parts,
    ),
  )
  return { start: header.bytes, frames, head: sealer.head }
}

function read(bytes: Buffer, step = bytes.length) {
  const reader = new SegmentReader()
  const frames = []
  for (let at = 0; at < bytes.length; at += step) {
    reader.push(bytes.subarray(at, at + step))
    frames.push(...reader.frames())
  }
  const { tornBytes } = reader.end()
  return { reader, frames, tornBytes }
}

const texts = ['first', 'second '.repeat(500), 'third', 'fourth '.repeat(40), 'fifth']

describe('a segment', () => {
  it('reads back what was sealed, whatever the pieces', () => {
    const { start, frames, head } = segment(texts)
    const file = Buffer.concat([start, ...frames])
    fc.assert(
      fc.property(fc.integer({ min: 1, max: 700 }), (step) => {
        const { reader, frames: found, tornBytes } = read(file, step)
        expect(reader.fault).toBeNull()
        expect(reader.final).toBe(true)
        expect(tornBytes).toBe(0)
        expect(reader.head?.equals(head)).toBe(true)
        expect(reader.goodBytes).toBe(file.length)
        const opener = new FrameOpener(key)
        const plain = found.map((frame) => opener.open(frame))
        expect(plain.map((one) => one.ok && one.value.toString())).toEqual(texts)
      }),
      { numRuns: 40 },
    )
  })

  it('computes the chain as documented', () => {
    const { start, frames } = segment(['only'])
    const frame = frames[0] as Buffer
    const hh = createHash('sha256').update('sallyport/header/v1\0').update(start.subarray(8)).digest()
    const c = createHash('sha256')
      .update('sallyport/chunk/v1\0')
      .update(hh)
      .update(hh)
      .update(frame.subarray(0, FRAME_HEADER_BYTES + 12))
      .update(frame.subarray(FRAME_HEADER_BYTES + 12, -32))
      .digest()
    expect(frame.subarray(-32).equals(c)).toBe(true)
  })

  it('names each kind of damage', () => {
    const { start, frames } = segment(texts)
    const foreign = segment(texts).frames
    const code = (...parts: (Buffer | undefined)[]) =>
      read(Buffer.concat([start, ...parts.filter((part) => part !== undefined)])).reader.fault?.code
    const [a, b, c, d, e] = frames
    expect(code(a, b, d, e)).toBe('chunk-missing')
    expect(code(a, b, d, c, e)).toBe('chunk-reordered')
    expect(code(a, b, b, c)).toBe('chunk-reordered')
    expect(code(a, foreign[1], c, d, e)).toBe('chunk-foreign')
    expect(code(a, b, c, d, e, a)).toBe('bytes-after-final')
    const altered = Buffer.from(c as Buffer)
    altered[60] = (altered[60] as number) ^ 1
    expect(code(a, b, altered, d, e)).toBe('chunk-altered')
    const alteredC = Buffer.from(c as Buffer)
    alteredC[alteredC.length - 1] = (alteredC.at(-1) as number) ^ 1
    expect(code(a, b, alteredC, d, e)).toBe('chunk-altered')
    const renumbered = Buffer.from(c as Buffer)
    renumbered.writeUInt32BE(9, 4)
    expect(code(a, b, renumbered, d, e)).toBe('chunk-altered')
    const flagged = Buffer.from(c as Buffer)
    flagged[8] = 32
    expect(code(a, b, flagged)).toBe('frame-unknown-flag')
    expect(code(b)).toBe('chunk-missing')
  })

  it('keeps the verified prefix of a torn file', () => {
    const { start, frames } = segment(texts)
    const whole = Buffer.concat([start, ...frames.slice(0, 3)])
    const { reader, frames: found, tornBytes } = read(Buffer.concat([whole, Buffer.alloc(20)]))
    expect(found).toHaveLength(3)
    expect(reader.goodBytes).toBe(whole.length)
    expect(tornBytes).toBe(20)
    expect(reader.final).toBe(false)
  })

  it('finds any flipped bit', () => {
    const { start, frames } = segment(['one', 'two', 'three'])
    const file = Buffer.concat([start, ...frames])
    fc.assert(
      fc.property(fc.nat(file.length * 8 - 1), (bit) => {
        const damaged = Buffer.from(file)
        damaged[bit >> 3] = (damaged[bit >> 3] as number) ^ (1 << (bit & 7))
        const { reader } = read(damaged)
        // Cut frames by a length that grew look torn; the missing final chunk tells.
        expect(reader.fault !== null || !reader.final || !reader.hh?.equals(file.subarray(0, 0))).toBe(true)
        expect(reader.fault === null && reader.final).toBe(false)
      }),
      { numRuns: 300 },
    )
  })

  it('begins with a keyframe, which in the input stream is the first chunk alone', () => {
    for (const stream of ['screen', 'input'] as const) {
      const header = buildHeader(exampleHeader(key, { stream }))
      const sealer = new FrameSealer(key, header.hh)
      const seal = (keyframe: boolean) =>
        Buffer.concat(sealer.seal(Buffer.from('x'), { t0Ms: 0, t1Ms: 0, keyframe }).parts)
      const [first, second] = [seal(true), seal(true)]
      const faultOf = (...parts: Buffer[]) => read(Buffer.concat([header.bytes, ...parts])).reader.fault?.code
      expect(faultOf(first, second)).toBe(stream === 'screen' ? undefined : 'keyframe-misplaced')
      const bare = new FrameSealer(key, header.hh).seal(Buffer.from('x'), { t0Ms: 0, t1Ms: 0 })
      expect(faultOf(...bare.parts)).toBe('keyframe-missing')
    }
  })
})

describe('a segment header', () => {
  it('has one spelling and no unknown field', () => {
    const header = exampleHeader(key)
    const json = buildHeader(header).bytes.subarray(8)
    expect(parseHeader(json)).toEqual({ ok: true, value: header })
    const code = (text: string) => {
      const parsed = parseHeader(Buffer.from(text))
      return parsed.ok ? null : parsed.code
    }
    expect(code(` ${json.toString()}`)).toBe('header-not-canonical')
    expect(code(json.toString().replace('{', '{"account":"root",'))).toBe('header-not-canonical')
    expect(code(JSON.stringify({ ...header, extra: 1 }))).toBe('header-unknown-field')
    expect(code('{}')).toBe('header-malformed')
    expect(code('nonsense')).toBe('header-malformed')
  })
})
