import { exportJWK, generateKeyPair, type JWK } from 'jose'
import { expect, it } from 'vitest'
import type { JsonWebKeyPublic } from '../../broker/domain/grant.ts'
import { dataKeyCommitment, matchesCommitment, newDataKey } from './data-key.ts'
import { type KeyWrap, parseWrap, unwrapDataKey, wrapDataKey } from './wrap.ts'

async function pair(crv: 'P-256' | 'X25519', kid: string) {
  const { publicKey, privateKey } = await generateKeyPair('ECDH-ES+A256KW', { crv, extractable: true })
  const pub = { ...(await exportJWK(publicKey)), kid } as JsonWebKeyPublic
  return { pub, priv: { ...(await exportJWK(privateKey)), kid } as JWK }
}

const name = { recording: '01933333-3333-7333-8333-333333333333', stream: 'screen', segment: 3 } as const

it('opens for each recipient and for nobody else, for one segment only', async () => {
  const replay = await pair('P-256', 'replay-1')
  const escrow = await pair('X25519', 'escrow-1')
  const stranger = await pair('P-256', 'replay-1')
  const key = newDataKey()
  for (const recipients of [[replay.pub, escrow.pub], [replay.pub]]) {
    const wrap = await wrapDataKey(key, name, recipients)
    expect(parseWrap(JSON.stringify(wrap), name)).toEqual({ ok: true, value: wrap })
    expect(await unwrapDataKey(wrap, replay.priv)).toEqual({ ok: true, value: key })
    expect(await unwrapDataKey(wrap, stranger.priv)).toMatchObject({ code: 'wrap-failed' })
    expect(parseWrap(JSON.stringify(wrap), { ...name, segment: 4 })).toMatchObject({
      code: 'wrap-wrong-segment',
    })
    // Moved to another segment by editing `aad`: the tag fails.
    const moved: KeyWrap = { ...wrap, aad: Buffer.from(`${name.recording}/screen/4`).toString('base64url') }
    expect(await unwrapDataKey(moved, replay.priv)).toMatchObject({ code: 'wrap-failed' })
    expect(parseWrap(JSON.stringify({ ...wrap, unprotected: {} }), name)).toMatchObject({
      code: 'wrap-malformed',
    })
  }
  const both = await wrapDataKey(key, name, [replay.pub, escrow.pub])
  expect(await unwrapDataKey(both, escrow.priv)).toEqual({ ok: true, value: key })
  expect(await unwrapDataKey(both, { ...escrow.priv, kid: 'other' })).toMatchObject({
    code: 'wrap-no-recipient',
  })
})

it('commits to one key', () => {
  const key = newDataKey()
  expect(matchesCommitment(key, dataKeyCommitment(key))).toBe(true)
  expect(matchesCommitment(newDataKey(), dataKeyCommitment(key))).toBe(false)
  expect(matchesCommitment(key, 'short')).toBe(false)
})
