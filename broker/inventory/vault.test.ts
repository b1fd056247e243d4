import { randomBytes } from 'node:crypto'
import { inspect } from 'node:util'
import { expect, test } from 'vitest'
import { Secret } from '../domain/secret.ts'
import { Vault } from './vault.ts'

const vault = new Vault(new Secret(randomBytes(32)))
const name = { endpointId: '019a0000-0000-7000-8000-000000000001', account: 'engineer' }
const credential = { kind: 'password', password: new Secret('hunter2-plant') } as const

test('what was sealed opens again, for that account only', () => {
  const sealed = vault.seal(name, credential)
  const opened = vault.open(name, 'password', sealed)
  expect(opened.kind === 'password' && opened.password.reveal()).toBe('hunter2-plant')
  expect(() => vault.open({ ...name, account: 'root' }, 'password', sealed)).toThrow(
    'not sealed for this account',
  )
  expect(() => vault.open(name, 'private-key', sealed)).toThrow()
  expect(() => new Vault(new Secret(randomBytes(32))).open(name, 'password', sealed)).toThrow()
  sealed[20] = (sealed[20] ?? 0) ^ 1
  expect(() => vault.open(name, 'password', sealed)).toThrow()
  expect(() => vault.open(name, 'password', Buffer.alloc(3))).toThrow()
})

test('a private key keeps its passphrase; nothing prints', () => {
  const key = {
    kind: 'private-key',
    privateKey: new Secret('-----BEGIN'),
    passphrase: new Secret('pass'),
  } as const
  const opened = vault.open(name, 'private-key', vault.seal(name, key))
  expect(opened.kind === 'private-key' && opened.passphrase?.reveal()).toBe('pass')
  expect(`${JSON.stringify(opened)} ${inspect(opened)}`).not.toMatch(/BEGIN|'pass'/)
})
