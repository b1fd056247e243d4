import { expect, test } from 'vitest'
import { vncAuthAnswer } from './vnc-auth.ts'

test('answers as DES does under the mirrored password', () => {
  // Single DES known answers (FIPS 81, NBS 500-20), the key's bits mirrored to undo the protocol's mirroring.
  const mirrored = (hex: string) =>
    Buffer.from(hex, 'hex').map((byte) =>
      Number.parseInt([...byte.toString(2).padStart(8, '0')].reverse().join(''), 2),
    )
  const answer = (key: string, plain: string) =>
    vncAuthAnswer(Buffer.from(plain.repeat(2), 'hex'), mirrored(key)).toString('hex')
  expect(answer('0123456789abcdef', '4e6f772069732074')).toBe('3fa40e8a984d4815'.repeat(2))
  expect(answer('133457799bbcdff1', '0123456789abcdef')).toBe('85e813540f0ab405'.repeat(2))
})

test('takes eight bytes of the password, and zeros for what is missing', () => {
  const challenge = Buffer.from('00112233445566778899aabbccddeeff', 'hex')
  expect(vncAuthAnswer(challenge, Buffer.from('password'))).toEqual(
    vncAuthAnswer(challenge, Buffer.from('password-and-more')),
  )
  expect(vncAuthAnswer(challenge, Buffer.from('abc'))).toEqual(
    vncAuthAnswer(challenge, Buffer.from('abc\0\0\0\0\0')),
  )
})
