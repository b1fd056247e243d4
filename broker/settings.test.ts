import { mkdtemp, rm, writeFile } from 'node:fs/promises'
import { tmpdir } from 'node:os'
import path from 'node:path'
import { afterAll, beforeAll, expect, it } from 'vitest'
import { publicOrigin } from './http/origin.ts'
import { publicUrlOf, readSettings } from './settings.ts'

let folder: string
beforeAll(async () => {
  folder = await mkdtemp(path.join(tmpdir(), 'sallyport-settings-'))
})
afterAll(() => rm(folder, { recursive: true, force: true }))

async function file(content: unknown): Promise<string> {
  const name = path.join(folder, `${Math.random()}.json`)
  await writeFile(name, JSON.stringify(content))
  return name
}

it('the environment stands over the file, and the file over the defaults', async () => {
  const config = await file({ publicName: 'a.example', webPort: 1, gatewayBroker: ['https://b.example'] })
  const settings = await readSettings(
    { SALLYPORT_WEB_PORT: '443', DATABASE_URL: 'postgres://x:y@z/w' },
    config,
  )
  expect(settings).toMatchObject({ publicName: 'a.example', webPort: 443, linkPort: 8444 })
  expect(publicUrlOf(settings)).toBe('https://a.example')
  expect(JSON.stringify(settings)).not.toContain('postgres://')
  expect((await readSettings({ SALLYPORT_TRUSTED_PROXIES: '10.0.0.1, 10.0.0.2' })).trustedProxies).toEqual([
    '10.0.0.1',
    '10.0.0.2',
  ])
})

it('what it does not know, or cannot be, is refused by name', async () => {
  const refused = (env: Record<string, string>, config?: string) => expect(readSettings(env, config)).rejects
  await refused({ SALLYPORT_PUBLIC_NAMEE: 'x' }).toThrow('SALLYPORT_PUBLIC_NAMEE is not a setting')
  await refused({}, await file({ webprot: 1 })).toThrow('webprot')
  await refused({ SALLYPORT_WEB_PORT: '70000' }).toThrow('webPort')
  await refused({ SALLYPORT_TIME_ZONE: 'Mars/Olympus' }).toThrow('Mars/Olympus')
  await refused({ SALLYPORT_CERTIFICATE: 'x.pem' }).toThrow('certificateKey')
  await refused({}, path.join(folder, 'absent.json')).toThrow('ENOENT')
  await refused({}, await file({ providers: [{ id: 'x', issuer: 'http://plain.example' }] })).toThrow(
    'providers.0',
  )
})

it('an IP address as public name is refused with the reason', async () => {
  for (const name of ['10.0.0.5', '::1']) {
    const url = publicUrlOf(await readSettings({ SALLYPORT_PUBLIC_NAME: name }))
    expect(() => publicOrigin(url)).toThrow('passkeys')
  }
})
