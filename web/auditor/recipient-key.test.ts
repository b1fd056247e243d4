import { describe, expect, it } from 'vitest'
import { makeRecipientKey, readPublicJwk } from './recipient-key.ts'

describe('the key of an evidence package', () => {
  it('is made here; only its public half is sent', async () => {
    const { publicJwk, privateFile } = await makeRecipientKey()
    expect(Object.keys(publicJwk).sort()).toEqual(['crv', 'kid', 'kty', 'x', 'y'])
    const kept = JSON.parse(privateFile) as JsonWebKey & { kid: string }
    expect(kept).toMatchObject({
      kty: 'EC',
      crv: 'P-256',
      x: publicJwk.x,
      y: publicJwk.y,
      kid: publicJwk.kid,
    })
    await expect(
      crypto.subtle.importKey('jwk', kept, { name: 'ECDH', namedCurve: 'P-256' }, true, ['deriveBits']),
    ).resolves.toBeDefined()
  })

  it('may be pasted; a private half in it never leaves the page', () => {
    expect(readPublicJwk({ kty: 'EC', crv: 'P-256', x: 'a', y: 'b', d: 'secret', use: 'enc' })).toEqual({
      kty: 'EC',
      crv: 'P-256',
      x: 'a',
      y: 'b',
    })
    for (const wrong of [
      null,
      'x',
      { kty: 'RSA' },
      { kty: 'EC', crv: 'P-384', x: 'a', y: 'b' },
      { kty: 'EC', crv: 'P-256' },
    ])
      expect(() => readPublicJwk(wrong)).toThrow(TypeError)
  })
})
