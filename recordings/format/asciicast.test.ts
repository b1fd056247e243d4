import fc from 'fast-check'
import { expect, it } from 'vitest'
import { AsciicastEncoder, formatTime } from './asciicast.ts'
import { ESCAPE_GROWTH, escapeJson } from './json-escape.ts'

/** Text with what terminals and attackers send: controls, quotes, all planes, broken sequences. */
const nasty = fc.oneof(
  fc.uint8Array({ maxLength: 40 }),
  fc.string({ unit: 'binary', maxLength: 40 }).map((text) => new TextEncoder().encode(text)),
  fc
    .constantFrom('é', '漢', '😀', '"\\', '\u001b[31m\r\n\t\b\f\u0000\u007f', '\ufeff')
    .map((text) => Buffer.from(text)),
)

function stringify(bytes: Uint8Array): string {
  const text = new TextDecoder('utf-8', { ignoreBOM: true }).decode(bytes)
  return JSON.stringify(text).slice(1, -1)
}

it('escapes bytes exactly as JSON.stringify escapes the decoded text', () => {
  fc.assert(
    fc.property(nasty, (bytes) => {
      const out = Buffer.alloc(bytes.length * ESCAPE_GROWTH)
      expect(out.subarray(0, escapeJson(bytes, out, 0)).toString()).toBe(stringify(bytes))
    }),
    { numRuns: 500 },
  )
})

it('escapes every byte at every place of a block, and sources longer than it takes at once', () => {
  for (let byte = 0; byte < 0x80; byte++) {
    for (let at = 0; at < 33; at++) {
      const source = new Uint8Array(at + 1).fill(0x61)
      source[at] = byte
      const out = Buffer.alloc(source.length * ESCAPE_GROWTH)
      expect(out.subarray(0, escapeJson(source, out, 0)).toString()).toBe(stringify(source))
    }
  }
  for (const length of [0, 8191, 8192, 8193, 20_000]) {
    const source = Uint8Array.from({ length }, (_, n) => n % 0x80)
    const out = Buffer.alloc(length * ESCAPE_GROWTH + 5)
    expect(out.subarray(5, escapeJson(source, out, 5)).toString()).toBe(stringify(source))
  }
})

it('carries a character that is cut between events, and loses nothing', () => {
  fc.assert(
    fc.property(fc.array(nasty, { maxLength: 8 }), fc.integer({ min: 1, max: 7 }), (parts, step) => {
      const all = Buffer.concat(parts)
      const encoder = new AsciicastEncoder(16)
      for (let at = 0; at < all.length; at += step) encoder.bytes('o', at, all.subarray(at, at + step))
      encoder.flush(all.length)
      const lines = encoder.view().toString().split('\n').slice(0, -1)
      const events = lines.map((line) => JSON.parse(line) as [number, string, string])
      expect(events.map((event) => event[2]).join('')).toBe(
        new TextDecoder('utf-8', { ignoreBOM: true }).decode(all),
      )
      for (const line of lines) expect(line).toMatch(/^\[\d+\.\d{6}, "o", ".+"\]$/)
    }),
    { numRuns: 300 },
  )
})

it('writes times in seconds with microseconds, never going back', () => {
  expect(formatTime(0)).toBe('0.000000')
  expect(formatTime(12_345_678)).toBe('12.345678')
  expect(formatTime(28_800_000_001)).toBe('28800.000001')
  const encoder = new AsciicastEncoder()
  encoder.text('r', 5_000_000, '80x24')
  encoder.text('m', 4_000_000, 'late')
  expect(encoder.view().toString()).toBe('[5.000000, "r", "80x24"]\n[5.000000, "m", "late"]\n')
})
