import { join } from 'node:path'
import { expect, test } from 'vitest'
import { ENTRIES, importsOf, sourceFiles, violations } from './imports.ts'

const root = join(import.meta.dirname, '..', '..')

test('imports flow one way', () => {
  const files = ['main.ts', ...sourceFiles(root, ['broker', 'approvals', 'gateway', 'recordings', 'web'])]
  expect(files.length).toBeGreaterThan(50)
  expect(violations(root, files)).toEqual([])
})

test('every entry is used: what nobody takes is shown to nobody', () => {
  const files = ['main.ts', ...sourceFiles(root, ['broker', 'approvals', 'gateway', 'recordings', 'web'])]
  const taken = new Set(
    files.flatMap((file) =>
      importsOf(root, file)
        .filter(({ to }) => to.split('/')[0] !== file.split('/')[0])
        .map(({ to }) => to),
    ),
  )
  expect(ENTRIES.filter((entry) => !taken.has(entry))).toEqual([])
})

test('a deliberately bad fixture is caught, rule by rule', () => {
  const bad = join(import.meta.dirname, 'fixtures', 'bad')
  expect(violations(bad, sourceFiles(bad, ['broker', 'gateway', 'recordings', 'web']))).toEqual([
    'broker/domain/reaches-up.ts: broker/domain must not import broker (broker/store/sql.ts)',
    'broker/domain/reaches-up.ts: broker/domain does no I/O, but imports node:fs',
    'gateway/reads-the-store.ts: gateway must not import broker (broker/store/sql.ts)',
    'gateway/reads-the-store.ts: gateway must not import approvals (approvals/approvals.ts)',
    'gateway/takes-a-back-door.ts: recordings/recorder/disk.ts is no entry of recordings',
    'recordings/verify/reads-a-file.ts: recordings/verify does no I/O, but imports node:fs/promises',
    'recordings/verify/reads-a-file.ts: recordings/verify must not import recordings (recordings/recorder/recorder.ts)',
    'web/takes-code.ts: the web takes types only from broker/contract/route.ts',
    'web/takes-code.ts: product code imports tests/lab/lab.ts',
  ])
})
