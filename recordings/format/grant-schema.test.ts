import { expect, expectTypeOf, it } from 'vitest'
import type { z } from 'zod'
import type { Grant } from '../../broker/domain/grant.ts'
import { grantSchema } from './grant-schema.ts'

it('says the same as the domain', () => {
  expectTypeOf<Grant>().toExtend<z.input<typeof grantSchema>>()
  expect(grantSchema.safeParse({}).success).toBe(false)
})
