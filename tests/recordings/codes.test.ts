import { readFileSync } from 'node:fs'
import { expect, it } from 'vitest'
import { VECTORS, type VectorCase } from './make-vectors.ts'

const DOCUMENT = new URL('../../docs/evidence-format.md', import.meta.url)

/** Words of the document that look like a reason and are none. Names of vectors are none either. */
const NO_REASONS = new Set([
  '8-4-4-4-12',
  'ssh-host-key',
  'password-totp',
  'asciicast-v2',
  'rfb-v1',
  'x509-sha256',
])

it('has a vector for every reason of the document, and no reason beside them', () => {
  const { cases } = JSON.parse(readFileSync(new URL('index.json', VECTORS), 'utf8')) as {
    cases: VectorCase[]
  }
  const names = new Set(cases.map(({ name, fails }) => (Object.keys(fails).length === 0 ? name : '')))
  const text = readFileSync(DOCUMENT, 'utf8')
  const documented = [...text.matchAll(/`([a-z0-9]+(?:-[a-z0-9]+)+)`/g)]
    .map(([, word]) => word as string)
    .filter((word) => !NO_REASONS.has(word) && !names.has(word))
  const shown = cases.flatMap(({ fails, absent }) => [...Object.values(fails), ...Object.values(absent)])
  expect([...new Set(shown)].sort()).toEqual([...new Set(documented)].sort())
})
