import { X509Certificate } from 'node:crypto'
import { mkdtemp, readFile, rm, stat, writeFile } from 'node:fs/promises'
import { tmpdir } from 'node:os'
import path from 'node:path'
import { afterEach, beforeEach, expect, test } from 'vitest'
import { manualClock } from '../domain/manual-clock.ts'
import { publicOrigin } from './origin.ts'
import { type RenewalState, siteCaTls, suppliedTls } from './tls.ts'

let folder: string
beforeEach(async () => {
  folder = await mkdtemp(path.join(tmpdir(), 'sallyport-tls-'))
})
afterEach(() => rm(folder, { recursive: true, force: true }))

const DAY = 86_400_000
const origin = publicOrigin('https://plant.example')
const server = (tls: { serverOptions(): { cert?: unknown } }) =>
  new X509Certificate(String(tls.serverOptions().cert))

test('made once, used again, keys for nobody else', async () => {
  const clock = manualClock()
  const first = await siteCaTls({ folder, origin, clock })
  const again = await siteCaTls({ folder, origin, clock })
  expect(again.serverOptions()).toEqual(first.serverOptions())
  expect(again.ca).toEqual(first.ca)
  expect(first.ca?.fingerprint).toMatch(/^([0-9A-F]{2}:){31}[0-9A-F]{2}$/)
  for (const file of ['ca.key', 'server.key']) {
    expect((await stat(path.join(folder, file))).mode & 0o777, file).toBe(0o600)
  }
})

test('renewed by itself 30 days before its end, without a new CA', async () => {
  const clock = manualClock()
  const tls = await siteCaTls({ folder, origin, clock })
  const before = server(tls)
  for (let day = 0; day < 62; day++) {
    clock.advance(DAY)
    // Reading and signing take real time between two days of the manual clock.
    await expect.poll(() => server(tls).validToDate.getTime() - clock.wall()).toBeGreaterThan(29 * DAY)
    await new Promise((resolve) => setImmediate(resolve))
  }
  await expect.poll(() => server(tls).serialNumber).not.toBe(before.serialNumber)
  expect(server(tls).checkIssued(new X509Certificate(tls.ca?.certificate ?? ''))).toBe(true)
  tls.close()
})

test('another public name gets another CA, also one that begins alike', async () => {
  const clock = manualClock()
  const first = await siteCaTls({ folder, origin: publicOrigin('https://plant.example.com'), clock })
  const second = await siteCaTls({ folder, origin, clock })
  expect(second.ca?.fingerprint).not.toBe(first.ca?.fingerprint)
  expect(server(second).checkHost('plant.example')).toBe('plant.example')
  const long = publicOrigin(`https://${'a'.repeat(60)}.${'b'.repeat(60)}.example`)
  expect(server(await siteCaTls({ folder, origin: long, clock })).checkHost(long.rpId)).toBe(long.rpId)
})

test('a renewal that fails is told while there is time, and that it works again', async () => {
  const clock = manualClock()
  ;(await siteCaTls({ folder, origin, clock })).close()
  const files = { certificateFile: path.join(folder, 'server.crt'), keyFile: path.join(folder, 'server.key') }
  const good = await readFile(files.certificateFile)
  const told: RenewalState[] = []
  const onRenewal = async (state: RenewalState) => void told.push(state)
  const tls = await suppliedTls({ ...files, origin, clock, onRenewal })
  const look = async (ms: number) => {
    const before = told.length
    await new Promise((resolve) => setImmediate(resolve))
    clock.advance(ms)
    await expect.poll(() => told.length).toBe(before + 1)
    return told.at(-1)
  }
  await expect.poll(() => told.length).toBe(1)
  expect(told[0]).toMatchObject({ trouble: null })
  await writeFile(files.certificateFile, 'half')
  // Once may be a file that is half written just now.
  expect(await look(DAY)).toMatchObject({ trouble: null })
  expect(await look(60_000)).toMatchObject({
    trouble: expect.any(String),
    daysLeft: (told[0]?.daysLeft ?? 0) - 2,
  })
  await writeFile(files.certificateFile, good)
  expect(await look(3_600_000)).toMatchObject({ trouble: null })
  // Nobody replaces it: there is nothing that fails, and it ends all the same.
  clock.advance(((told.at(-1)?.daysLeft ?? 0) - 15) * DAY)
  await expect.poll(() => told.length).toBe(5)
  expect(await look(2 * DAY)).toMatchObject({ trouble: expect.any(String), daysLeft: 13 })
  tls.close()
})

test('a supplied certificate must be for the public name and in force', async () => {
  const clock = manualClock()
  const made = await siteCaTls({ folder, origin, clock })
  made.close()
  const files = {
    certificateFile: path.join(folder, 'server.crt'),
    keyFile: path.join(folder, 'server.key'),
    clock,
  }
  const supplied = await suppliedTls({ ...files, origin })
  expect(supplied.ca).toBeNull()
  supplied.close()
  await expect(
    suppliedTls({ ...files, origin: publicOrigin('https://other.example') }),
  ).rejects.toMatchObject({
    code: 'certificate-name',
  })
  clock.advance(100 * DAY)
  await expect(suppliedTls({ ...files, origin })).rejects.toMatchObject({ code: 'certificate-expired' })
  await writeFile(path.join(folder, 'server.key'), 'not a key')
  await expect(suppliedTls({ ...files, origin, clock: manualClock() })).rejects.toThrow()
})
