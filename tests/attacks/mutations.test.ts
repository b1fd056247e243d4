import { describe, expect, it } from 'vitest'
import { mutated, testsOf } from './mutation.ts'
import { MUTATIONS } from './mutations.ts'

/** mutate.ts makes them; here it is only held that they can still be made. */
describe('mutations', () => {
  for (const [test, mutations] of Object.entries(MUTATIONS))
    for (const mutation of mutations)
      it(`${test} without "${mutation.removes}" can be made`, () => {
        expect(testsOf(test)).not.toEqual([])
        expect(mutated(mutation)).toContain(mutation.replace)
      })
})
