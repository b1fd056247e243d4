import type { Page } from 'playwright-core'
import { random } from '../../../gateway/desktop/testing/painting.ts'
import { builtPages } from '../../lab/built-pages.ts'
import { openChromium } from '../../lab/chromium.ts'
import { setUpInBrowser } from '../../lab/page-actions.ts'
import { startVnc } from '../../lab/vnc-server.ts'
import { startGround } from '../plant/ground.ts'
import { percentile, type Row } from '../table.ts'
import { deliverDay } from './delivered-day.ts'
import { type Seek, watchSeeks } from './seek-page.ts'

export interface SeekBounds {
  /** Length of the recording. */
  hours: number
}

const SEEKS = 120
/** The page is drawn, its scripts are compiled. */
const WARM_SEEKS = 5

/** Seeks to random places of a long desktop recording in the real player, the recording served by the real broker. */
export async function benchSeek({ hours }: SeekBounds): Promise<Row[]> {
  const pages = await builtPages()
  const vnc = await startVnc()
  const ground = await startGround(
    {
      port: vnc.port,
      user: 'vnc',
      password: vnc.password,
      assets: 1,
      vnc: { security: 'plain', authentication: 'password' },
    },
    { webDir: pages.folder },
  )
  const { plant } = ground
  const chromium = await openChromium({ hosts: [plant.host], ca: plant.ca })
  try {
    const day = await deliverDay(ground, hours)
    const speed = (hours * 3_600_000) / day.tookMs
    console.log(
      `· ${hours} h recorded in ${(day.tookMs / 1000).toFixed(0)} s (${speed.toFixed(0)} times as fast): ` +
        `${day.times.length} changes, ${day.segments} segments, ${(day.bytes / 1e6).toFixed(0)} MB`,
    )
    const page = await chromium.page()
    const { link, id } = await plant.invite('Anna Bench', ['auditor'])
    await setUpInBrowser(page, link)
    await plant.confirmPasskeys(id)
    const opening = performance.now()
    await page.goto(`${plant.origin}/recordings/${day.recording}`)
    await page.locator('.stage canvas').waitFor({ timeout: 120_000 })
    const openedMs = performance.now() - opening
    const path = `/api/recordings/${day.recording}`
    const { durationMs } = (await page.evaluate(async (at) => (await fetch(at)).json(), path)) as {
      durationMs: number
    }
    await watchSeeks(page, day.times, durationMs)
    const seeks = await seekAround(page)
    const times = seeks.map(({ ms }) => ms)
    const p = (percent: number) => `${percentile(times, percent).toFixed(0)} ms`
    return [
      {
        what: `seek in ${hours} h of desktop, p95 of ${seeks.length}`,
        gate: true,
        ours: `p50 ${p(50)}, longest ${p(100)}`,
        beside: `page opened in ${(openedMs / 1000).toFixed(1)} s`,
        ratio: percentile(times, 95),
        goal: '<=',
        limit: 300,
        unit: ' ms',
      },
    ]
  } finally {
    await chromium.close()
    await plant.stop()
    await vnc.stop()
    await pages.remove()
  }
}

async function seekAround(page: Page): Promise<Seek[]> {
  const next = random(7)
  const seeks: Seek[] = []
  for (let count = 0; count < WARM_SEEKS + SEEKS; count++) {
    const track = await page.locator('[role="slider"].timeline-track').boundingBox()
    if (!track) throw new Error('the player has no timeline')
    await page.evaluate(() => window.watchNextSeek())
    await page.mouse.click(track.x + (next(1_000_000) / 1_000_000) * track.width, track.y + track.height / 2)
    const seek = await page.evaluate(() => window.watched)
    if (count >= WARM_SEEKS) seeks.push(seek)
  }
  return seeks
}
