import { describe, expect, it } from 'vitest'
import { verifyPackage } from '../../recordings/verify/verify-package.ts'
import { CASES } from './cases/index.ts'
import { keys, makeFixture } from './fixture.ts'
import { mapReader } from './map-reader.ts'

/** Those whose fault lies in the zip are for the command, which opens it (vectors.test.ts). */
const IN_FILES = CASES.filter(({ plan, absent }) => !plan.zip && absent.manifest === undefined)

describe('the verifier', () => {
  it.each(IN_FILES)('says $verdict to $name', async ({ plan, verdict, fails, absent }) => {
    const { files, trust } = await makeFixture(plan)
    const report = await verifyPackage(mapReader(files), trust, { key: keys.recipient.priv })
    const failed = report.checks.filter((check) => check.result === 'failed')
    expect(Object.fromEntries(failed.map((check) => [check.name, check.code]))).toEqual(fails)
    const left = report.checks.filter((check) => check.result === 'absent')
    expect(Object.fromEntries(left.map((check) => [check.name, check.code]))).toEqual(absent)
    expect(report.verdict).toBe(verdict)
  })
})
