import { mkdtemp, readdir, rm } from 'node:fs/promises'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { Readable } from 'node:stream'
import { afterEach, beforeEach, expect, test } from 'vitest'
import { sha256 } from '../../broker/domain/canonical.ts'
import { newId } from '../../broker/domain/ids.ts'
import { evidenceKey, segmentKey } from './evidence-store.ts'
import { openFolderStore } from './folder-store.ts'

let folder: string
beforeEach(async () => {
  folder = await mkdtemp(join(tmpdir(), 'evidence-'))
})
afterEach(() => rm(folder, { recursive: true }))

const bytes = Buffer.from('segment bytes')
const hash = sha256(bytes).toString('hex')

test('an object is kept once; the same bytes again are fine, others are refused', async () => {
  const store = await openFolderStore(folder, 0)
  const key = segmentKey(newId(), 'screen', 0)
  expect(await store.put(key, hash, bytes.length, Readable.from([bytes]))).toBe('stored')
  expect(await store.put(key, hash, bytes.length, Readable.from([bytes]))).toBe('same')
  const other = Buffer.from('other bytes')
  const otherHash = sha256(other).toString('hex')
  expect(await store.put(key, otherHash, other.length, Readable.from([other]))).toBe('conflict')
  expect(await store.hash(key)).toBe(hash)
})

test('bytes that are not what was announced leave nothing behind', async () => {
  const store = await openFolderStore(folder, 0)
  const key = segmentKey(newId(), 'input', 3)
  expect(await store.put(key, hash, bytes.length + 1, Readable.from([bytes]))).toBe('mismatch')
  expect(await store.put(key, hash, bytes.length - 1, Readable.from([bytes]))).toBe('mismatch')
  expect(await store.put(key, 'f'.repeat(64), bytes.length, Readable.from([bytes]))).toBe('mismatch')
  expect(await store.size(key)).toBeNull()
  expect(await readdir(join(folder, 'incoming'))).toEqual([])
})

test('two writers of one key: one stores, the other is told', async () => {
  const store = await openFolderStore(folder, 0)
  const key = segmentKey(newId(), 'screen', 1)
  const other = Buffer.from('rival bytes!!')
  const results = await Promise.all([
    store.put(key, hash, bytes.length, Readable.from([bytes])),
    store.put(key, sha256(other).toString('hex'), other.length, Readable.from([other])),
  ])
  expect(results.sort()).toEqual(['conflict', 'stored'])
})

test.each([
  '../x',
  `${newId()}/screen/../../etc`,
  `${newId()}/screen/01.spr`,
  `${newId().toUpperCase()}/screen/1.spr`,
  `${newId()}/keys/screen-1.spr`,
  '',
])('only names of this product reach the disk: %s', (path) => expect(evidenceKey(path)).toBeNull())
