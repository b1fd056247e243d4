import { generateKeyPairSync, sign } from 'node:crypto'
import fc from 'fast-check'
import { expect, it } from 'vitest'
import { readCoseKey } from './cose.ts'

const { publicKey, privateKey } = generateKeyPairSync('ec', { namedCurve: 'P-256' })
const { x, y } = publicKey.export({ format: 'jwk' }) as { x: string; y: string }
const es256 = Buffer.concat([
  Buffer.from('a5010203262001215820', 'hex'),
  Buffer.from(x, 'base64url'),
  Buffer.from('225820', 'hex'),
  Buffer.from(y, 'base64url'),
])

it('verifies with an ES256 key and refuses another signature', () => {
  const data = Buffer.from('data')
  const key = readCoseKey(es256)
  expect(key?.verify(data, sign('sha256', data, privateKey))).toBe(true)
  expect(key?.verify(data, sign('sha256', Buffer.from('other'), privateKey))).toBe(false)
  expect(key?.verify(data, Buffer.alloc(3))).toBe(false)
})

it('refuses what is no key, or has more than one reading', () => {
  const cases = [
    Buffer.alloc(0),
    Buffer.concat([es256, Buffer.of(0)]),
    es256.subarray(0, -1),
    Buffer.from('a0', 'hex'),
    // The same label twice, a short RSA modulus, an indefinite length, an unknown algorithm.
    Buffer.from('a201020102', 'hex'),
    Buffer.from('a401030339010020430102032143010001', 'hex'),
    Buffer.from('bf0102ff', 'hex'),
    Buffer.concat([Buffer.from('a5010203382e2001215820', 'hex'), es256.subarray(10)]),
  ]
  for (const bytes of cases) expect(readCoseKey(bytes), bytes.toString('hex')).toBeNull()
})

it('never throws', () => {
  fc.assert(
    fc.property(fc.uint8Array({ maxLength: 120 }), fc.boolean(), (bytes, inKey) => {
      const input = inKey ? Buffer.concat([es256.subarray(0, 20), bytes]) : bytes
      expect(() => readCoseKey(input)).not.toThrow()
    }),
    { numRuns: 500 },
  )
})
