import { chmod, mkdtemp, readdir, readFile, rm, stat } from 'node:fs/promises'
import { tmpdir } from 'node:os'
import path from 'node:path'
import { inspect } from 'node:util'
import { calculateJwkThumbprint, compactVerify, importJWK } from 'jose'
import { afterEach, beforeEach, describe, expect, it } from 'vitest'
import { Secret } from '../domain/secret.ts'
import { rootFromHandout } from './handout.ts'
import { beginEpoch, handoutWaiting, joinInputShares, openKeys, rotateSigningKey } from './keys.ts'
import { readStatement } from './statement.ts'

const NOW = Date.UTC(2026, 10, 24)
let folder: string
beforeEach(async () => {
  folder = await mkdtemp(path.join(tmpdir(), 'sallyport-keys-'))
})
afterEach(() => rm(folder, { recursive: true, force: true }))

const handout = () => readFile(path.join(folder, 'OFFLINE-KEYS.txt'), 'utf8')
const rootOf = (text: string) => {
  const root = rootFromHandout(text)
  if (!root) throw new Error('no root in the handout')
  return new Secret(root)
}

describe('keys of a deployment', () => {
  it('are made once, private files 0600, and come back the same', async () => {
    const first = await openKeys(folder, NOW)
    const again = await openKeys(folder, NOW + 1000)
    expect(again.deployment).toBe(first.deployment)
    expect(again.broker.kid).toBe(first.broker.kid)
    expect(again.vault.reveal()).toEqual(first.vault.reveal())
    expect(first.derive('a').reveal()).toEqual(again.derive('a').reveal())
    expect(first.derive('a').reveal()).not.toEqual(first.derive('b').reveal())
    for (const name of await readdir(path.join(folder, 'keys'))) {
      const { mode } = await stat(path.join(folder, 'keys', name))
      expect([name, (mode & 0o777).toString(8)]).toEqual([
        name,
        name === 'root-statement.json' ? '644' : '600',
      ])
    }
    expect((await stat(path.join(folder, 'OFFLINE-KEYS.txt'))).mode & 0o777).toBe(0o600)
    expect(await handoutWaiting(folder)).toBe(path.join(folder, 'OFFLINE-KEYS.txt'))
  })

  it('never store an offline part in the keys folder', async () => {
    await openKeys(folder, NOW)
    const text = await handout()
    const secrets = [...text.matchAll(/(?:private|share)\s+([A-Za-z0-9_-]{40,})/g)].map(
      (match) => match[1] ?? '',
    )
    expect(secrets).toHaveLength(5)
    for (const name of await readdir(path.join(folder, 'keys'))) {
      const stored = await readFile(path.join(folder, 'keys', name), 'utf8')
      for (const secret of secrets) expect(stored).not.toContain(secret)
    }
  })

  it('cannot be printed', async () => {
    const keys = await openKeys(folder, NOW)
    const stored = JSON.parse(await readFile(path.join(folder, 'keys', 'broker.jwk'), 'utf8')) as {
      d: string
    }
    const vault = keys.vault.reveal().toString('base64url')
    for (const text of [
      inspect(keys, { depth: 9, showHidden: true }),
      JSON.stringify(keys),
      `${keys.broker}`,
    ]) {
      expect(text).not.toContain(stored.d)
      expect(text).not.toContain(vault)
    }
  })

  it('are refused when others may read them', async () => {
    await openKeys(folder, NOW)
    await chmod(path.join(folder, 'keys', 'vault.key'), 0o640)
    await expect(openKeys(folder, NOW)).rejects.toMatchObject({ code: 'key-permissions' })
  })

  it('two shares of three open the input key, one or a wrong one does not', async () => {
    const keys = await openKeys(folder, NOW)
    const shares = [...(await handout()).matchAll(/share\s{2,}([A-Za-z0-9_-]+)/g)].map(
      (match) => match[1] ?? '',
    )
    expect(shares).toHaveLength(3)
    const [a, b, c] = shares as [string, string, string]
    for (const pair of [
      [a, b],
      [b, c],
      [a, c],
    ]) {
      const jwk = await joinInputShares(pair, keys.recordingKeys.input)
      expect(jwk.reveal().x).toBe(keys.recordingKeys.input.x)
    }
    const wrong = `${a.slice(0, 10)}${a[10] === 'A' ? 'B' : 'A'}${a.slice(11)}`
    await expect(joinInputShares([wrong, b], keys.recordingKeys.input)).rejects.toMatchObject({
      code: 'key-malformed',
    })
  })

  it('root-statement.json is signed by the root and names thumbprints', async () => {
    const keys = await openKeys(folder, NOW)
    const { file, statement } = readStatement(keys.statementText)
    for (const key of statement.keys) expect(key.kid).toBe(await calculateJwkThumbprint(key.jwk))
    const root = await importJWK({ kty: 'OKP', crv: 'Ed25519', x: file.root.x }, 'Ed25519')
    await compactVerify(file.statement, root, { algorithms: ['Ed25519'] })
    const [head, body, signature] = file.statement.split('.') as [string, string, string]
    const changed = Buffer.from(JSON.stringify({ ...statement, serial: 9 })).toString('base64url')
    expect(body).not.toBe(changed)
    expect(() =>
      readStatement(JSON.stringify({ ...file, statement: `${head}.${changed}.${signature}` })),
    ).toThrow(/does not verify/)
  })

  it('a broker key is rotated by the root only, from an audit index on', async () => {
    const before = await openKeys(folder, NOW)
    const root = rootOf(await handout())
    const stranger = new Secret({ ...root.reveal(), d: before.derive('x').reveal().toString('base64url') })
    await expect(rotateSigningKey(folder, 'broker', stranger, 42, NOW)).rejects.toMatchObject({
      code: 'root-mismatch',
    })
    await rotateSigningKey(folder, 'broker', root, 42, NOW)
    const after = await openKeys(folder, NOW)
    expect(after.broker.kid).not.toBe(before.broker.kid)
    expect(after.statement.serial).toBe(2)
    expect(after.statement.keys.filter((key) => key.use === 'broker')).toMatchObject([
      { kid: before.broker.kid, from: 0, until: 42 },
      { kid: after.broker.kid, from: 42, until: null },
    ])
    expect(await beginEpoch(folder, root, 'note', 'restored', NOW)).toBe(1)
    expect((await openKeys(folder, NOW)).statement.epochs).toHaveLength(2)
  })
})
