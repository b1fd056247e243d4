import type { Page } from 'playwright-core'
import { afterAll, beforeAll, describe, expect } from 'vitest'
import { type EngineeringStation, startEngineeringStation } from '../demo/engineering-station.ts'
import { builtPages } from '../lab/built-pages.ts'
import { DESK, type LabBrowser, openChromium, PHONE } from '../lab/chromium.ts'
import { missingTools } from '../lab/lab.ts'
import { approve, askForAccess, openSession, setUpInBrowser } from '../lab/page-actions.ts'
import { type LabPlant, startPlant } from '../lab/plant.ts'
import { stepsOf } from './steps.ts'

const missing = missingTools('chromium', 'nss-tools').join(', ') || null

const ASSET = 'Press 2, operator station'
const PURPOSE = 'Restore the recipe client after the disk was replaced'
const WAITING = 'Waiting for an operator at the site to say that the console is free.'

/** A console that operators use: nobody takes it over before one of them has said that it is free. */
describe.skipIf(missing !== null)(
  `a console that operators use${missing ? ` (skipped: ${missing})` : ''}`,
  () => {
    const people: Record<string, Page> = {}
    const step = stepsOf('console', people)
    const page = (who: string): Page => {
      const found = people[who]
      if (!found) throw new Error(`${who} has no page`)
      return found
    }
    let browser: LabBrowser
    let plant: LabPlant
    let station: EngineeringStation
    let pages: Awaited<ReturnType<typeof builtPages>>
    let request = ''
    let sessionId = ''

    beforeAll(async () => {
      pages = await builtPages()
      const login = { user: 'service', password: crypto.randomUUID() }
      station = await startEngineeringStation(login)
      plant = await startPlant({ webDir: pages.folder })
      browser = await openChromium({ hosts: [plant.host], ca: plant.ca, timeZone: 'Europe/Vienna' })
      const { assetId } = await plant.asset({
        name: ASSET,
        criticality: 'C3',
        target: { port: station.port, ...login },
      })
      await plant.admin.call('PATCH /api/assets/:id', {
        params: { id: assetId },
        body: { operatorsUseConsole: true, reason: 'The shift stands before it' },
      })
      await plant.ticket('CHG-1060', [ASSET])
      for (const [who, name, role] of [
        ['vendor', 'Vera Kowalski', 'vendor'],
        ['manager', 'Max Huber', 'approver'],
        ['operator', 'Oleg Brandt', 'operator'],
      ] as const) {
        people[who] = await browser.person({
          viewport: who === 'vendor' ? DESK : PHONE,
          timeZone: 'Europe/Vienna',
        })
        const { link, id } = await plant.invite(name, [role], who === 'vendor')
        await setUpInBrowser(page(who), link)
        await plant.confirmPasskeys(id)
      }
    }, 240_000)

    afterAll(async () => {
      await browser?.close()
      await plant?.stop()
      await station?.stop()
      await pages?.remove()
    })

    const openButton = () => page('vendor').getByRole('link', { name: 'Open session' })
    /** The vendor asks on the page of the request; the operator's page, which is open all the while, shows it. */
    const ask = async () => {
      const vendor = page('vendor')
      await vendor.goto(new URL(`/requests/${request}`, vendor.url()).href)
      await vendor.getByText(WAITING).waitFor()
      expect(await openButton().count()).toBe(0)
      await vendor.getByRole('button', { name: 'Ask the operators' }).click()
      await vendor.getByText('This page says so when somebody has answered.').waitFor()
      const operator = page('operator')
      await operator.getByText('Is the console free?').waitFor()
      await operator.getByText(PURPOSE).first().waitFor()
      await operator.getByText('Vera Kowalski').first().waitFor()
    }

    step('the approver reads that it is taken from whoever stands before it', async () => {
      request = await askForAccess(page('vendor'), PURPOSE)
      await approve(page('manager'), PURPOSE)
      const manager = page('manager')
      await manager.goto(new URL(`/decide/${request}`, manager.url()).href)
      await manager.getByText('Opening takes the console away from whoever stands before it.').waitFor()
    })

    step('the vendor asks, an operator says on the phone that it is free, the vendor opens', async () => {
      const operator = page('operator')
      await operator.goto(new URL('/inside', operator.url()).href)
      await operator.getByRole('heading', { name: 'Inside now' }).waitFor()
      await ask()
      await operator.getByRole('button', { name: 'Ready' }).click()
      await operator.getByText('Console free').waitFor()
      await page('vendor').getByText('Oleg Brandt says that the console is free.').waitFor()
      await openButton().waitFor()
      sessionId = await openSession(page('vendor'), request)
      await operator.getByText('Console free').waitFor({ state: 'detached' })
      // Whoever goes before the asset has answered has not been inside.
      await operator.getByText('Live', { exact: true }).waitFor()
    })

    step('a browser that comes back to the session asks nobody', async () => {
      const vendor = page('vendor')
      await vendor.reload()
      await vendor.locator('.xterm-rows').waitFor()
      expect(new URL(vendor.url()).pathname).toBe(`/sessions/${sessionId}/live`)
    })

    step('a second opening needs a new word, and a word is taken back before it is used', async () => {
      const operator = page('operator')
      await page('vendor').getByRole('button', { name: 'End session' }).click()
      await page('vendor').getByRole('button', { name: 'End it now' }).click()
      await operator.getByText('Ended by the vendor').waitFor()
      await ask()
      await operator.getByRole('button', { name: 'Ready' }).click()
      await openButton().waitFor()
      await operator.getByRole('button', { name: 'Take back' }).click()
      await page('vendor').getByText(WAITING).waitFor()
      expect(await openButton().count()).toBe(0)
    })
  },
)
