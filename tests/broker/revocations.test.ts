import { expect, it } from 'vitest'
import { manualClock } from '../../broker/domain/manual-clock.ts'
import { Revocations, type Revoked } from '../../broker/identity/revocations.ts'
import type { Database } from '../../broker/store/sql.ts'

it('a look that the database did not answer is made again, until it does (threat 39)', async () => {
  // Red without `lookUntilSeen`: nobody would hear of it before the connection is lost.
  const clock = manualClock()
  let fails = 2
  let tell: (payload: string) => void = () => undefined
  const sql = async (text: TemplateStringsArray) => {
    if (!text.join('').includes('FROM revocation')) return []
    fails -= 1
    if (fails >= 0) throw new Error('busy')
    return [{ id: 1, kind: 'person', subject: 'p', reason: 'person-disabled', at: new Date(clock.wall()) }]
  }
  const db = {
    sql,
    listen: async (_channel: string, onNotify: (payload: string) => void) => {
      tell = onNotify
      return { close: async () => undefined }
    },
  } as unknown as Database
  const revocations = new Revocations(db, clock)
  const heard: Revoked[] = []
  const errors: unknown[] = []
  revocations.on((revoked) => heard.push(revoked))
  await revocations.start((error) => errors.push(error))
  tell('1')
  await expect.poll(() => errors.length).toBe(1)
  clock.advance(1_000)
  await expect.poll(() => errors.length).toBe(2)
  expect(heard).toEqual([])
  clock.advance(1_000)
  await expect.poll(() => heard.length).toBe(1)
  expect(heard[0]).toMatchObject({ id: 'p', reason: 'person-disabled' })
  await revocations.close()
})
