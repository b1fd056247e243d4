import { describe, expect, it } from 'vitest'
import { verifyPackage } from '../../recordings/verify/verify-package.ts'
import { CASES } from './cases/index.ts'
import { keys, makeFixture } from './fixture.ts'
import { mapReader } from './map-reader.ts'

describe('the verifier', () => {
  it.each(CASES.filter(({ plan }) => plan.compressed === undefined))(
    'says $verdict to $name',
    async ({ plan, verdict, fails }) => {
      const { files, trust } = await makeFixture(plan)
      const report = await verifyPackage(mapReader(files), trust, { key: keys.recipient.priv })
      const failed = report.checks.filter((check) => check.result === 'failed')
      expect(Object.fromEntries(failed.map((check) => [check.name, check.code]))).toEqual(fails)
      expect(report.verdict).toBe(verdict)
    },
  )
})
