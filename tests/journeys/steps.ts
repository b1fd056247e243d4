import { mkdir } from 'node:fs/promises'
import { join } from 'node:path'
import type { Page } from 'playwright-core'
import { it } from 'vitest'

export const OUTPUT = join(import.meta.dirname, '..', '..', 'test-output')

/**
 * The steps of one journey, each a test of its own. After a failed one the others are skipped, since they stand on
 * it; what every person's page showed at that moment is kept as a picture.
 */
export function stepsOf(journey: string, people: Record<string, Page>) {
  let failed: string | null = null
  return (name: string, does: () => Promise<void>): void => {
    it(name, async (context) => {
      if (failed) context.skip(`after "${failed}" failed`)
      try {
        await does()
      } catch (error) {
        failed = name
        const folder = join(OUTPUT, 'journeys')
        await mkdir(folder, { recursive: true })
        for (const [who, page] of Object.entries(people))
          await page.screenshot({ path: join(folder, `${journey}-failed-${who}.png`) }).catch(() => undefined)
        throw error
      }
    })
  }
}
