import { mkdtempSync, rmSync, writeFileSync } from 'node:fs'
import { tmpdir } from 'node:os'
import path from 'node:path'
import { afterAll, describe, expect, it } from 'vitest'
import { Secret } from '../domain/secret.ts'
import { externalDatabase } from './external.ts'

const folder = mkdtempSync(path.join(tmpdir(), 'sallyport-external-'))
afterAll(() => rmSync(folder, { recursive: true, force: true }))
const read = (rest: string) => externalDatabase(new Secret(`postgres://owner:p%40ss@${rest}`))

describe('an external database', () => {
  it('on another machine is verified, chain and name, by default', () => {
    for (const rest of ['db.plant.example/x', 'db.plant.example:5432/x?sslmode=verify-full', '10.1.2.3/x']) {
      const { url, ssl } = read(rest)
      expect(ssl).toMatchObject({ rejectUnauthorized: true, host: rest.split(/[:/]/)[0] })
      expect(url).not.toContain('ssl')
      expect(url).toContain('p%40ss')
    }
  })

  it.each(['disable', 'allow', 'prefer', 'require', 'verify-ca', 'no-verify', 'true', ''])(
    'on another machine with sslmode=%s is refused',
    (mode) => {
      for (const host of [
        'db.plant.example',
        '10.1.2.3',
        'localhost.plant.example',
        '127.0.0.1,db.plant.example',
      ])
        for (const name of ['sslmode', 'ssl'])
          expect(() => read(`${host}/x?${name}=${mode}`)).toThrow(
            expect.objectContaining({ code: 'database-url', message: expect.stringContaining(mode) }),
          )
    },
  )

  it('on this machine is plain text unless TLS is asked for, which is verified then', () => {
    for (const host of ['localhost', '127.0.0.1', '127.8.8.8:5433', '[::1]']) {
      expect(read(`${host}/x`).ssl).toBe(false)
      expect(read(`${host}/x?sslmode=prefer`).ssl).toBe(false)
      for (const mode of ['require', 'verify-full'])
        expect(read(`${host}/x?sslmode=${mode}`).ssl).toMatchObject({ rejectUnauthorized: true })
    }
  })

  it('without a host, without a URL or without its CA is refused by name, never with the password', () => {
    expect(() => externalDatabase(new Secret('postgres:///x'))).toThrow('names no host')
    const empty = path.join(folder, 'empty.pem')
    writeFileSync(empty, '')
    for (const [rest, reason] of [
      ['db.plant.example:port/x', 'no URL'],
      [`db.plant.example/x?sslrootcert=${path.join(folder, 'absent.pem')}`, 'ENOENT'],
      [`db.plant.example/x?sslrootcert=${empty}`, 'no PEM certificate'],
    ] as const) {
      expect(() => read(rest)).toThrow(reason)
      expect(() => read(rest)).not.toThrow(/p%40ss|p@ss/)
    }
  })
})
