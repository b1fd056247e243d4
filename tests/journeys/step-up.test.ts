import { mkdir } from 'node:fs/promises'
import { join } from 'node:path'
import type { Page } from 'playwright-core'
import { afterAll, beforeAll, describe, expect } from 'vitest'
import { Secret } from '../../broker/domain/secret.ts'
import { issueServerCertificate, makeSiteCa } from '../../broker/http/site-ca.ts'
import { type EngineeringStation, startEngineeringStation } from '../demo/engineering-station.ts'
import { MACHINES } from '../demo/machines.ts'
import { ageSignIn } from '../lab/age-sign-in.ts'
import type { ApiClient } from '../lab/api-client.ts'
import { builtPages } from '../lab/built-pages.ts'
import { DESK, type LabBrowser, openChromium, PHONE } from '../lab/chromium.ts'
import { freePort } from '../lab/free-port.ts'
import { missingTools } from '../lab/lab.ts'
import { type LabOidc, type LabPerson, startOidcProvider } from '../lab/oidc-provider.ts'
import { shown } from '../lab/page-actions.ts'
import { inDays, type LabPlant, startPlant } from '../lab/plant.ts'
import { OUTPUT, stepsOf } from './steps.ts'

const missing = missingTools('chromium', 'nss-tools').join(', ') || null
const VENDOR = 'Krantz Robotics'
const person = (sub: string, name: string): LabPerson => ({
  sub,
  name,
  email: `${sub}@krantz.example`,
  company: 'krantz',
  groups: ['engineers'],
  title: 'Vendor engineer',
})
const PEOPLE = [person('vera', 'Vera Kowalski'), person('paul', 'Paul Nowak')]
const FIVE_MINUTES = 5 * 60_000

/**
 * The fresh sign-in before a session, at an identity provider on another site, in the window that the page opens for
 * it: what was filled in stays, another person does not count, and neither a closed window nor one that the browser
 * never opened is a dead end.
 */
describe.skipIf(missing !== null)(
  `step-up at an identity provider${missing ? ` (skipped: ${missing})` : ''}`,
  () => {
    const pages: Record<string, Page> = {}
    const step = stepsOf('step-up', pages)
    let built: Awaited<ReturnType<typeof builtPages>>
    let provider: LabOidc
    let plant: LabPlant
    let station: EngineeringStation
    let browser: LabBrowser
    let vera: Page
    let veraId = ''
    let requestId = ''
    let auditor: ApiClient

    beforeAll(async () => {
      built = await builtPages()
      const port = await freePort()
      const providerCa = await makeSiteCa(['localhost'], Date.now())
      const clientSecret = crypto.randomUUID()
      provider = await startOidcProvider({
        tls: await issueServerCertificate(providerCa, ['localhost'], Date.now()),
        clientId: 'sallyport',
        clientSecret,
        redirectUri: `https://access.plant.example:${port}/auth/oidc/company/callback`,
        people: PEOPLE,
      })
      plant = await startPlant({
        port,
        webDir: built.folder,
        providers: [
          {
            id: 'company',
            name: 'company sign-in',
            issuer: provider.issuer,
            clientId: 'sallyport',
            clientSecret: new Secret(clientSecret),
            ca: providerCa.certificate,
            mapping: {
              organisationClaim: 'company',
              organisations: { krantz: { vendor: VENDOR } },
              rolesClaim: 'groups',
              roles: { engineers: [{ role: 'vendor', site: 'Body shop Graz' }] },
            },
          },
        ],
      })
      const [machine] = MACHINES
      if (!machine) throw new Error('the demo has no machine')
      const login = { user: 'service', password: crypto.randomUUID() }
      station = await startEngineeringStation(login)
      await plant.asset({ ...machine, target: { port: station.port, ...login } })
      await plant.ticket('CHG-1042', [machine.name])
      browser = await openChromium({ hosts: [plant.host], ca: [plant.ca, providerCa.certificate] })
      vera = await browser.page()
      pages.vera = vera
    })
    afterAll(async () => {
      await browser?.close()
      await plant?.stop()
      await provider?.close()
      await station?.stop()
      await built?.remove()
    })

    /** A picture at a desk's and at a phone's width; nothing may be wider than either. */
    const look = async (name: string): Promise<void> => {
      await mkdir(join(OUTPUT, 'journeys'), { recursive: true })
      for (const [where, size] of Object.entries({ phone: PHONE, desk: DESK })) {
        await vera.setViewportSize(size)
        expect(
          await vera.evaluate(() => document.documentElement.scrollWidth - innerWidth),
        ).toBeLessThanOrEqual(0)
        await vera.screenshot({ path: join(OUTPUT, 'journeys', `step-up-${name}-${where}.png`) })
      }
    }
    const refusals = async () => {
      const log = await auditor.call('GET /api/audit', { query: { limit: 200 } })
      return log.items.filter((entry) => entry.action === 'sign-in.refused')
    }

    /** Presses what opens the provider's window, and gives that window. */
    const providersWindow = async (): Promise<Page> => {
      const [opened] = await Promise.all([
        vera.waitForEvent('popup'),
        vera.getByRole('dialog').getByRole('button', { name: 'Confirm with company sign-in' }).click(),
      ])
      pages.window = opened
      await opened.getByRole('button', { name: 'Vera Kowalski' }).waitFor()
      return opened
    }

    step('Vera signs in with her company, asks, and is approved', async () => {
      await vera.goto(`${plant.origin}/`)
      await vera.getByRole('link', { name: 'Sign in with company sign-in' }).click()
      await vera.getByRole('button', { name: 'Vera Kowalski' }).click()
      await vera.getByRole('heading', { name: 'My work' }).waitFor()
      const people = await plant.admin.call('GET /api/people', {})
      veraId = people.items.find((one) => one.name === 'Vera Kowalski')?.id ?? ''
      await plant.admin.call('PATCH /api/people/:id', {
        params: { id: veraId },
        body: { trainingValidUntil: inDays(90), accountEndsAt: inDays(180), reason: 'trained on site' },
      })
      await vera.goto(`${plant.origin}/requests/new`)
      await vera.getByLabel('Purpose').fill('Replace the gripper program')
      await vera.getByRole('button', { name: 'Ask for access' }).click()
      await vera.waitForURL(/\/requests\/[0-9a-f-]{36}$/)
      requestId = new URL(vera.url()).pathname.split('/')[2] ?? ''
      const { client: approver } = await plant.person('Max Huber', ['approver'])
      await approver.decide(requestId, 'granted')
      auditor = (await plant.person('Anna Weiss', ['auditor'])).client
    })

    step('the notice shows below its request, so that nothing moves under a pointer', async () => {
      let answers = () => {}
      const held = new Promise<void>((done) => {
        answers = done
      })
      const slow = `**/api/requests/${requestId}`
      await vera.route(slow, async (route) => {
        await held
        await route.continue()
      })
      const notice = vera.waitForResponse(/\/notice$/)
      await vera.goto(`${plant.origin}/requests/${requestId}/open`)
      await (await notice).finished()
      await vera.evaluate(
        () => new Promise((done) => requestAnimationFrame(() => requestAnimationFrame(done))),
      )
      const accept = vera.getByLabel('I have read this and accept it')
      expect(await accept.count()).toBe(0)
      answers()
      await accept.waitFor()
      await vera.getByText('Replace the gripper program').first().waitFor()
      await vera.unroute(slow)
    })

    step(
      'five minutes later the session wants a fresh sign-in; the window closed, there is a way back',
      async () => {
        await ageSignIn(plant, vera, FIVE_MINUTES + 1_000)
        await vera.goto(`${plant.origin}/requests/${requestId}/open`)
        await vera.getByLabel('I have read this and accept it').check()
        await vera.getByRole('button', { name: 'Open session' }).click()
        const first = await providersWindow()
        await first.close()
        await vera.getByText(/A window of company sign-in has opened.*Closed it\? Choose again\./).waitFor()
        await look('closed')
        const second = await providersWindow()
        await second.close()
        await vera.getByRole('button', { name: 'Not now' }).click()
        await vera.getByRole('alert').filter({ hasText: 'step-up-required' }).waitFor()
        expect(await vera.getByLabel('I have read this and accept it').isChecked()).toBe(true)
      },
    )

    step('somebody else in that window does not count: the page says so, and the log keeps it', async () => {
      await vera.getByRole('button', { name: 'Open session' }).click()
      const opened = await providersWindow()
      const closed = opened.waitForEvent('close')
      await opened.getByRole('button', { name: 'Paul Nowak' }).click()
      await closed
      const dialog = vera.getByRole('dialog', { name: 'Confirm that it is you' })
      await dialog.getByText('This does not count. Somebody else signed in there').waitFor()
      await look('somebody-else')
      const [refused, ...more] = await refusals()
      expect(more).toEqual([])
      expect(refused).toMatchObject({
        reason: 'other-person',
        result: 'denied',
        object: `person ${veraId}`,
      })
      expect((await auditor.call('GET /api/sessions', { query: {} })).items).toEqual([])
    })

    step(
      'a browser that opens no window says so, and the way through the tab has the same rules',
      async () => {
        // What `open` answers where a blocker stands before it (HTML, the window open steps); Chromium under a driver
        // blocks none itself.
        await vera.evaluate(() => {
          window.open = () => null
        })
        const dialog = vera.getByRole('dialog', { name: 'Confirm that it is you' })
        await dialog.getByRole('button', { name: 'Confirm with company sign-in' }).click()
        await dialog.getByText('Your browser kept the window of company sign-in from opening.').waitFor()
        await look('blocked')
        await dialog.getByRole('link', { name: 'sign in there in this tab' }).click()
        await vera.getByRole('button', { name: 'Paul Nowak' }).click()
        await vera.getByText('This does not count. Somebody else signed in there').waitFor()
        await look('blocked-somebody-else')
        expect((await refusals()).map(({ reason }) => reason)).toEqual(['other-person', 'other-person'])
        await vera.getByRole('link', { name: 'go back to Sallyport' }).click()
        await vera.getByRole('heading', { name: 'My work' }).waitFor()
      },
    )

    step('Vera herself does: the window closes, and the session opens where she was', async () => {
      await vera.goto(`${plant.origin}/requests/${requestId}/open`)
      await vera.getByLabel('I have read this and accept it').check()
      await vera.getByRole('button', { name: 'Open session' }).click()
      const opened = await providersWindow()
      const closed = opened.waitForEvent('close')
      await opened.getByRole('button', { name: 'Vera Kowalski' }).click()
      await shown(vera, 'for the commands.')
      await closed
      const log = await auditor.call('GET /api/audit', { query: { limit: 200 } })
      expect(log.items.find(({ action }) => action === 'sign-in.step-up')).toMatchObject({
        actor: 'Vera Kowalski',
        result: 'ok',
      })
    })
  },
)
