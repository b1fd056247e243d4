import { mkdtemp, readFile, rm, writeFile } from 'node:fs/promises'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { afterAll, beforeAll, expect, it } from 'vitest'
import { ZipFile } from 'yazl'
import { openPackage } from './open-zip.ts'
import { fromBytes, fromLines, writePackage } from './write-zip.ts'

let folder: string
beforeAll(async () => {
  folder = await mkdtemp(join(tmpdir(), 'sallyport-zip-'))
})
afterAll(async () => await rm(folder, { recursive: true }))

async function bytesOf(stream: AsyncIterable<unknown>): Promise<Buffer> {
  const pieces: Buffer[] = []
  for await (const piece of stream) pieces.push(piece as Buffer)
  return Buffer.concat(pieces)
}

async function open(zip: Buffer) {
  const path = join(folder, 'package.zip')
  await writeFile(path, zip)
  return await openPackage(path)
}

async function codeOf(zip: Buffer) {
  const opened = await open(zip)
  if (opened.ok) opened.value.close()
  return opened.ok ? null : opened.code
}

async function made(names: string[], compress = false): Promise<Buffer> {
  const zip = new ZipFile()
  for (const name of names) zip.addBuffer(Buffer.from('text '.repeat(50)), name, { compress })
  zip.end()
  return await bytesOf(zip.outputStream as AsyncIterable<unknown>)
}

it('reads back what was written, and the list that was signed is the list of files', async () => {
  let listed: { path: string; bytes: number }[] = []
  const stream = writePackage(
    [fromBytes('README.txt', 'for people'), fromLines('audit/entries.ndjson', [{ index: 0 }, { index: 1 }])],
    async (files) => {
      listed = files
      return 'a.b.c'
    },
    Date.UTC(2026, 10, 24),
  )
  const opened = await open(await bytesOf(stream))
  if (!opened.ok) throw new Error(opened.message)
  expect(listed.map((file) => file.path)).toEqual(['README.txt', 'audit/entries.ndjson'])
  expect(
    opened.value
      .files()
      .map((file) => file.path)
      .sort(),
  ).toEqual(['README.txt', 'audit/entries.ndjson', 'package.jws'])
  expect((await bytesOf(opened.value.open('audit/entries.ndjson'))).toString()).toBe(
    '{"index":0}\n{"index":1}\n',
  )
  expect((await bytesOf(opened.value.open('package.jws'))).toString()).toBe('a.b.c')
  opened.value.close()
})

it('fails as a whole when a source or the signer fails', async () => {
  const broken = {
    path: 'README.txt',
    async *open() {
      yield Buffer.from('begin')
      throw new Error('disk gone')
    },
  }
  await expect(bytesOf(writePackage([broken], async () => 'x', 0))).rejects.toThrow('disk gone')
  const unsigned = writePackage([fromBytes('README.txt', 'x')], () => Promise.reject(new Error('no key')), 0)
  await expect(bytesOf(unsigned)).rejects.toThrow('no key')
  expect(() => writePackage([fromBytes('../../etc/passwd', 'x')], async () => 'x', 0)).toThrow(
    'does not belong',
  )
})

it('refuses hostile zips', async () => {
  expect(await codeOf(Buffer.from('not a zip'))).toBe('package-unreadable')
  expect(await codeOf(await made(['README.txt'], true))).toBe('package-compressed')
  expect(await codeOf(await made(['README.txt', 'README.txt']))).toBe('package-unreadable')
  expect(await codeOf(await made(['other.txt']))).toBe('package-name')
  expect(await codeOf(await made(['segments/screen-01.spr']))).toBe('package-name')
  const renamed = (name: string) => async () => {
    const zip = await made(['README.txt'])
    return Buffer.from(zip.toString('latin1').replaceAll('README.txt', name), 'latin1')
  }
  for (const name of ['../../etc0', '/etc/passw', 'README\u0000txt', 'c:\\readme1']) {
    expect(await codeOf(await renamed(name)())).toBe('package-name')
  }
  const zip = await made(['README.txt'])
  const content = zip.indexOf('text ')
  zip[content] = (zip[content] as number) ^ 1
  const opened = await open(zip)
  if (!opened.ok) throw new Error(opened.message)
  await expect(bytesOf(opened.value.open('README.txt'))).rejects.toThrow('CRC-32')
  await expect(bytesOf(opened.value.open('nothing'))).rejects.toThrow('no such file')
  opened.value.close()
  expect(await readFile(join(folder, 'package.zip'))).toHaveLength(zip.length)
})

it('refuses files that share bytes, and a comment', async () => {
  const zip = await made(['README.txt', 'policy.json'])
  expect(await codeOf(zip)).toBe(null)
  const commented = Buffer.concat([zip, Buffer.from('x')])
  commented.writeUInt16LE(1, zip.length - 2)
  expect(await codeOf(commented)).toBe('package-unreadable')
  // The second record of the directory points at the first file (its offset stands at byte 42 of the record).
  zip.writeUInt32LE(0, zip.lastIndexOf(Buffer.from('504b0102', 'hex')) + 42)
  expect(await codeOf(zip)).toBe('package-unreadable')
})
