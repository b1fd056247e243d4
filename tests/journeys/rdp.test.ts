import { readFile } from 'node:fs/promises'
import type { Page } from 'playwright-core'
import { afterAll, beforeAll, describe, expect } from 'vitest'
import { builtPages } from '../lab/built-pages.ts'
import { DESK, type LabBrowser, openChromium, PHONE } from '../lab/chromium.ts'
import { missingTools } from '../lab/lab.ts'
import {
  approve,
  askForAccess,
  desktopPicture,
  desktopPoint,
  openSession,
  setUpInBrowser,
} from '../lab/page-actions.ts'
import { type LabPlant, startPlant } from '../lab/plant.ts'
import { until } from '../lab/until.ts'
import { type LabXrdp, type LabXrdpSession, startXrdp, xrdpMissing } from '../lab/xrdp-server.ts'
import { stepsOf } from './steps.ts'

const missing = xrdpMissing() ?? (missingTools('chromium', 'nss-tools').join(', ') || null)

const ASSET = 'Engineering station 2'
const PURPOSE = 'Load the new PLC program of the paint line'

/** A vendor's visit to an engineering station over RDP, in the size of the browser's window. */
describe.skipIf(missing !== null)(`an RDP desktop${missing ? ` (skipped: ${missing})` : ''}`, () => {
  const people: Record<string, Page> = {}
  const step = stepsOf('rdp', people)
  const page = (who: string): Page => {
    const found = people[who]
    if (!found) throw new Error(`${who} has no page`)
    return found
  }
  let browser: LabBrowser
  let plant: LabPlant
  let xrdp: LabXrdp
  let station: LabXrdpSession
  let pages: Awaited<ReturnType<typeof builtPages>>
  let sessionId = ''

  beforeAll(async () => {
    pages = await builtPages()
    ;[xrdp, plant] = await Promise.all([startXrdp(), startPlant({ webDir: pages.folder })])
    browser = await openChromium({ hosts: [plant.host], ca: plant.ca, timeZone: 'Europe/Vienna' })
    await plant.asset({
      name: ASSET,
      criticality: 'C3',
      about: { type: 'engineering-station', description: 'Engineering station of the paint line' },
      target: { port: xrdp.port, user: xrdp.user, password: xrdp.password },
      rdp: { security: 'tls' },
    })
    await plant.ticket('CHG-2044', [ASSET])
    for (const [who, name, role] of [
      ['vendor', 'Vera Kowalski', 'vendor'],
      ['manager', 'Max Huber', 'approver'],
      ['auditor', 'Anna Weiss', 'auditor'],
    ] as const) {
      people[who] = await browser.person({
        viewport: who === 'manager' ? PHONE : DESK,
        timeZone: 'Europe/Vienna',
      })
      const { link, id } = await plant.invite(name, [role], who === 'vendor')
      await setUpInBrowser(page(who), link)
      await plant.confirmPasskeys(id)
    }
  }, 120_000)

  afterAll(async () => {
    await browser?.close()
    await plant?.stop()
    await xrdp?.stop()
    await pages?.remove()
  })

  /** RemoteFX is not exact: how far the browser's picture is from the X server's, on average. */
  const showsTheScreen = async (who: string, selector?: string) => {
    let last = 'nothing'
    await until(
      async () => {
        const shown = await desktopPicture(page(who), selector)
        const real = await station.picture().catch(() => null)
        if (!shown || !real) return false
        if (shown.width !== real.width || shown.height !== real.height) {
          last = `${shown.width}x${shown.height} against ${real.width}x${real.height}`
          return false
        }
        let sum = 0
        for (let n = 0; n < real.pixels.length; n++)
          sum += Math.abs((shown.pixels[n] ?? 0) - (real.pixels[n] ?? 0))
        last = `${sum / real.pixels.length} a component`
        return sum / real.pixels.length < 2
      },
      `the ${who}'s browser shows the station's screen`,
      30_000,
    ).catch((error) => {
      throw new Error(`${String(error)}: ${last}`)
    })
  }

  step('opened with the keyboard that is before the person, in the size of their window', async () => {
    const vendor = page('vendor')
    const request = await askForAccess(vendor, PURPOSE)
    await approve(page('manager'), PURPOSE)
    sessionId = await openSession(vendor, request)
    await until(async () => (await desktopPicture(vendor)) !== null, 'a picture', 30_000)
    station = await xrdp.session()
    await station.showPhotograph()
    await showsTheScreen('vendor')
    const place = await vendor.locator('.screen-place').boundingBox()
    const shown = await desktopPicture(vendor)
    expect(Math.abs((place?.width ?? 0) - (shown?.width ?? 0))).toBeLessThan(2)
    expect(Math.abs((place?.height ?? 0) - (shown?.height ?? 0))).toBeLessThan(2)
  })

  step('typed text arrives, and so does the mouse', async () => {
    const vendor = page('vendor')
    const file = `/tmp/sallyport-typed-${process.pid}`
    station.start('xterm', '-geometry', '60x10+200+150', '-title', 'typed', '-e', `cat > ${file}`)
    await until(
      async () => (await station.run('sh', '-c', 'xdotool search --name typed || true')) !== '',
      'the xterm is there',
    )
    const at = await desktopPoint(vendor, 300, 220)
    await vendor.mouse.click(at.x, at.y)
    await until(async () =>
      /x:(299|300|301) y:(219|220|221) /.test(await station.run('xdotool', 'getmouselocation')),
    )
    // A capital without Shift is what Caps Lock makes.
    await vendor.keyboard.type('Program 7 load')
    await vendor.keyboard.press('Shift+Digit4')
    await vendor.keyboard.press('Enter')
    await until(
      async () => (await readFile(file, 'utf8').catch(() => '')) === 'Program 7 load$\n',
      'the line was typed',
    )
    await vendor.keyboard.press('Control+d')
    await until(
      async () => (await station.run('sh', '-c', 'xdotool search --name typed || true')) === '',
      'the xterm has ended',
    )
  })

  step('a window of another size: the desktop follows when it is asked to', async () => {
    const vendor = page('vendor')
    const before = await desktopPicture(vendor)
    await vendor.setViewportSize({ width: 1180, height: 700 })
    await vendor.getByRole('button', { name: 'Make the desktop as large as this window' }).click()
    await until(
      async () => {
        const now = await desktopPicture(vendor)
        return now !== null && now.width !== before?.width
      },
      'another size',
      30_000,
    )
    await showsTheScreen('vendor')
    const shown = await desktopPicture(vendor)
    expect(Math.abs(1180 - (shown?.width ?? 0))).toBeLessThan(2)
  })

  step('signing out at the station ends the session, and its recording is complete', async () => {
    await station.logOff()
    await page('vendor')
      .getByRole('heading', { name: 'Asset disconnected' })
      .first()
      .waitFor({ timeout: 30_000 })
    const auditor = page('auditor')
    await auditor.goto(`${plant.origin}/sessions/${sessionId}`)
    await auditor.getByText('Complete').first().waitFor({ timeout: 30_000 })
    await auditor.getByRole('link', { name: /^Play/ }).first().click()
    await auditor.waitForURL(/\/recordings\//)
    await auditor.getByRole('slider', { name: 'Place in the recording' }).press('End')
    await until(
      async () => (await desktopPicture(auditor, '.stage canvas'))?.width === 1180,
      'the last size in the player',
      30_000,
    )
    await auditor.getByRole('button', { name: 'Verify now' }).click()
    await auditor.getByText('Verified', { exact: true }).waitFor()
  })
})
