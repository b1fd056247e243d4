import { existsSync } from 'node:fs'
import { join } from 'node:path'
import { describe, expect, it } from 'vitest'
import { mutated } from './mutation.ts'
import { MUTATIONS } from './mutations.ts'

/** mutate.ts makes them; here it is only held that they can still be made. */
describe('mutations', () => {
  for (const [test, mutations] of Object.entries(MUTATIONS))
    for (const mutation of mutations)
      it(`${test} without "${mutation.removes}" can be made`, () => {
        expect(existsSync(join(import.meta.dirname, `${test}.test.ts`))).toBe(true)
        expect(mutated(mutation)).toContain(mutation.replace)
      })
})
