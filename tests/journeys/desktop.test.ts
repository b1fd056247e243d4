import { mkdtemp, readFile, rm } from 'node:fs/promises'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
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
import { difference, PixelCanvas } from '../lab/pixel-canvas.ts'
import { type LabPlant, startPlant } from '../lab/plant.ts'
import { until } from '../lab/until.ts'
import { type LabVnc, startVnc, vncMissing } from '../lab/vnc-server.ts'
import { stepsOf } from './steps.ts'

type Picture = NonNullable<Awaited<ReturnType<typeof desktopPicture>>>

const missing = vncMissing() ?? (missingTools('chromium', 'nss-tools').join(', ') || null)

const ASSET = 'Mixing station 3'
const PURPOSE = 'Adjust the recipe screen after the nozzle change'

/** A vendor's visit to a desktop: what is on the X server's screen is what every browser shows. */
describe.skipIf(missing !== null)(`a desktop${missing ? ` (skipped: ${missing})` : ''}`, () => {
  const people: Record<string, Page> = {}
  const step = stepsOf('desktop', people)
  const page = (who: string): Page => {
    const found = people[who]
    if (!found) throw new Error(`${who} has no page`)
    return found
  }
  let browser: LabBrowser
  let plant: LabPlant
  let vnc: LabVnc
  let pages: Awaited<ReturnType<typeof builtPages>>
  let dir = ''
  let sessionId = ''
  let last: Picture = { width: 0, height: 0, pixels: new Uint8Array(0) }

  beforeAll(async () => {
    dir = await mkdtemp(join(tmpdir(), 'sallyport-desktop-journey-'))
    pages = await builtPages()
    vnc = await startVnc({ security: 'X509Vnc', certificate: true, geometry: '800x600' })
    plant = await startPlant({ webDir: pages.folder })
    browser = await openChromium({ hosts: [plant.host], ca: plant.ca, timeZone: 'Europe/Vienna' })
    await plant.asset({
      name: ASSET,
      criticality: 'C3',
      about: { type: 'hmi', description: 'Panel of the mixing station' },
      target: { port: vnc.port, user: 'vnc', password: vnc.password },
      vnc: { security: 'x509', authentication: 'password' },
    })
    await plant.ticket('CHG-1055', [ASSET])
    for (const [who, name, role] of [
      ['vendor', 'Vera Kowalski', 'vendor'],
      ['manager', 'Max Huber', 'approver'],
      ['operator', 'Oleg Brandt', 'operator'],
      ['auditor', 'Anna Weiss', 'auditor'],
    ] as const) {
      const phone = who === 'manager' || who === 'operator'
      people[who] = await browser.person({ viewport: phone ? PHONE : DESK, timeZone: 'Europe/Vienna' })
      const { link, id } = await plant.invite(name, [role], who === 'vendor')
      await setUpInBrowser(page(who), link)
      await plant.confirmPasskeys(id)
    }
  }, 120_000)

  afterAll(async () => {
    await browser?.close()
    await plant?.stop()
    await vnc?.stop()
    await pages?.remove()
    await rm(dir, { recursive: true, force: true })
  })

  /** Says the difference when it never becomes the same. */
  const showsTheScreen = async (who: string) => {
    let last: string | null = 'nothing'
    await until(
      async () => {
        const picture = await desktopPicture(page(who))
        if (!picture) return false
        const canvas = new PixelCanvas()
        canvas.resize(picture.width, picture.height)
        canvas.pixels = Uint8Array.from(picture.pixels)
        last = difference(canvas, (await vnc.picture()).pixels, 0)
        return last === null
      },
      `the ${who}'s browser shows the X server's screen`,
      20_000,
    ).catch((error) => {
      throw new Error(`${String(error)}: ${last}`)
    })
  }
  /** A program under the pointer that keeps what is typed. */
  const editor = async (name: string) => {
    const file = join(dir, name)
    const term = vnc.start('xterm', '-geometry', '80x20+0+0', '-e', `cat > ${file}`)
    await until(async () => {
      const { width, pixels } = await vnc.picture()
      return [0, 1, 2].every((part) => pixels[(20 * width + 20) * 4 + part] === 255)
    }, 'the xterm is there')
    const at = await desktopPoint(page('vendor'), 100, 100)
    await page('vendor').mouse.click(at.x, at.y)
    await until(async () =>
      /x:(99|100|101) y:(99|100|101) /.test(await vnc.run('xdotool', 'getmouselocation')),
    )
    return { text: () => readFile(file, 'utf8'), close: () => term.kill() }
  }

  step('asked for, approved, opened: the browser shows the machine’s screen, pixel for pixel', async () => {
    const request = await askForAccess(page('vendor'), PURPOSE)
    await approve(page('manager'), PURPOSE)
    sessionId = await openSession(page('vendor'), request)
    await until(async () => (await desktopPicture(page('vendor'))) !== null, 'a picture', 20_000)
    const corner = await desktopPoint(page('vendor'), 790, 590)
    await page('vendor').mouse.move(corner.x, corner.y)
    await vnc.showPhotograph()
    await showsTheScreen('vendor')
  })

  step('the mouse and the keyboard reach it, and so do the keys of the page', async () => {
    const vendor = page('vendor')
    const { text, close } = await editor('typed')
    await vendor.keyboard.type('Recipe 7: 42 %')
    await vendor.keyboard.press('Enter')
    await until(async () => (await text()) === 'Recipe 7: 42 %\n', 'the line was typed')
    await vendor.getByRole('button', { name: 'Keys' }).click()
    const keys = vendor.getByRole('toolbar', { name: 'Keys for the asset' })
    // What a phone's keyboard does to the field.
    await keys.getByLabel('Type here with the keyboard of this phone').focus()
    await vendor.keyboard.insertText('ä€')
    await vendor.keyboard.press('Backspace')
    await vendor.keyboard.press('Enter')
    await until(async () => (await text()).split('\n').length > 2, 'the second line was typed')
    // Shift held for one key, then let go by itself.
    await keys.getByRole('button', { name: 'Ctrl', exact: true }).click()
    await keys.getByLabel('Type here with the keyboard of this phone').focus()
    await vendor.keyboard.insertText('d')
    await until(async () => (await vnc.run('xdotool', 'search', '--name', 'cat').catch(() => '')) === '')
    await vendor.getByRole('button', { name: 'Keys' }).click()
    close()
  })

  step('the clipboard was not approved, and says so', async () => {
    const vendor = page('vendor')
    await vendor.getByRole('button', { name: 'Clipboard' }).click()
    await vendor.getByText('Neither copying nor pasting was approved for this session.').waitFor()
  })

  step('the operator sees it on the phone, cannot reach into it, and holds', async () => {
    const operator = page('operator')
    const vendor = page('vendor')
    await operator.goto(`${plant.origin}/inside`)
    const tile = operator.getByRole('article').filter({ hasText: 'Vera Kowalski' })
    await tile.getByRole('link', { name: 'Watch' }).click()
    await showsTheScreen('operator')
    expect(await operator.evaluate(() => document.documentElement.scrollWidth - window.innerWidth)).toBe(0)
    await vendor.getByText('Oleg Brandt watches').waitFor()
    const at = await desktopPoint(operator, 400, 300)
    await operator.mouse.click(at.x, at.y)
    const { text, close } = await editor('held')
    await operator.getByRole('button', { name: 'Hold' }).click()
    await operator.getByLabel('Why you hold it').fill('Somebody is at the mixer')
    await operator.getByRole('button', { name: 'Freeze input' }).click()
    await vendor.getByText('Input is frozen by Oleg Brandt.').waitFor()
    await vendor.keyboard.type('while-held')
    await operator.getByRole('button', { name: 'Give input back' }).click()
    await vendor.getByText('Input is frozen').waitFor({ state: 'hidden' })
    await vendor.keyboard.type('free')
    await vendor.keyboard.press('Enter')
    await until(async () => (await text()).endsWith('\n'), 'the line was typed')
    expect(await text()).toBe('free\n')
    close()
  })

  step('pixel by pixel, and back to the whole; a reload comes back to the same screen', async () => {
    const vendor = page('vendor')
    const width = () =>
      vendor.evaluate(() => document.querySelector('.screen-place canvas')?.getBoundingClientRect().width)
    const fitted = await width()
    await vendor.getByRole('button', { name: 'Show pixel by pixel' }).click()
    await until(async () => (await width()) === 800)
    await vendor.getByRole('button', { name: 'Fit to the window' }).click()
    await until(async () => (await width()) === fitted)
    await vendor.reload()
    await until(async () => (await desktopPicture(vendor)) !== null, 'a picture', 20_000)
    const corner = await desktopPoint(vendor, 790, 590)
    await vendor.mouse.move(corner.x, corner.y)
    await vnc.run('xsetroot', '-mod', '5', '5', '-fg', 'navy', '-bg', 'grey')
    await showsTheScreen('vendor')
    await showsTheScreen('operator')
  })

  step('the vendor ends it; the machine is let go and the recording is complete', async () => {
    const vendor = page('vendor')
    await until(async () => (await desktopPicture(vendor)) !== null)
    last = (await desktopPicture(vendor)) ?? last
    await vendor.getByRole('button', { name: 'End session' }).click()
    await vendor.getByRole('button', { name: 'End it now' }).click()
    await vendor.getByRole('heading', { name: 'You ended the session' }).waitFor()
    const auditor = page('auditor')
    await auditor.goto(`${plant.origin}/sessions/${sessionId}`)
    await auditor.getByText('Complete').first().waitFor({ timeout: 30_000 })
  })

  step(
    'the auditor plays it: its end is the last screen, and what was there before is found again',
    async () => {
      const auditor = page('auditor')
      await auditor.getByRole('link', { name: /^Play/ }).first().click()
      await auditor.waitForURL(/\/recordings\//)
      const shows = async (picture: Picture, what: string) =>
        until(
          async () => {
            const canvas = await desktopPicture(auditor, '.stage canvas')
            return canvas !== null && Buffer.compare(canvas.pixels, picture.pixels) === 0
          },
          what,
          20_000,
        )
      const place = auditor.getByRole('slider', { name: 'Place in the recording' })
      await place.press('End')
      await shows(last, 'the last screen')
      await place.press('Home')
      await until(async () => {
        const canvas = await desktopPicture(auditor, '.stage canvas')
        return canvas !== null && Buffer.compare(canvas.pixels, last.pixels) !== 0
      }, 'another screen at the beginning')
      await auditor.getByRole('button', { name: 'Verify now' }).click()
      await auditor.getByText('Verified', { exact: true }).waitFor()
    },
  )
})
