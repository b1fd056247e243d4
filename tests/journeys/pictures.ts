import { readFileSync } from 'node:fs'
import { mkdir, rm, writeFile } from 'node:fs/promises'
import { createRequire } from 'node:module'
import { join } from 'node:path'
import type { CDPSession, Page } from 'playwright-core'
import { afterAll, beforeAll, describe, expect } from 'vitest'
import type { BodyInput } from '../../broker/contract/api/index.ts'
import { VNC_ACCOUNT } from '../../broker/domain/vnc.ts'
import { COLOUR } from '../demo/hmi/picture.ts'
import { MACHINES, startMachine } from '../demo/machines.ts'
import { builtPages } from '../lab/built-pages.ts'
import { DESK, type LabBrowser, openChromium, PHONE } from '../lab/chromium.ts'
import { missingTools } from '../lab/lab.ts'
import { approve, openSession, setUpInBrowser, shown, typeLine } from '../lab/page-actions.ts'
import { type LabPlant, startPlant } from '../lab/plant.ts'
import { OUTPUT, stepsOf } from './steps.ts'

const missing = missingTools('chromium', 'nss-tools').join(', ') || null
const FOLDER = join(OUTPUT, 'screens')
const AXE = readFileSync(createRequire(import.meta.url).resolve('axe-core/axe.min.js'), 'utf8')
const RULES = ['wcag2a', 'wcag2aa', 'wcag21a', 'wcag21aa', 'wcag22aa']
const minutes = (count: number) => count * 60_000
const hours = (count: number) => count * 3_600_000

interface Violation {
  id: string
  impact: string | null
  help: string
  nodes: { target: string[]; html: string }[]
}

/**
 * Every page with believable data, at 390 and 1440 pixels; in the long round the most used ones also dark. The pictures are test
 * output for people to look at; the test itself holds that nothing is wider than the screen, that axe-core finds
 * nothing serious, and that the page reports no error.
 */
export const pictures = (rounds: { isLong: boolean }) =>
  describe.skipIf(missing !== null)(`screens${missing ? ` (skipped: ${missing})` : ''}`, () => {
    const people: Record<string, Page> = {}
    const step = stepsOf('screens', people)
    const page = (who: string): Page => {
      const found = people[who]
      if (!found) throw new Error(`${who} has no page`)
      return found
    }
    let plant: LabPlant
    let browser: LabBrowser
    let pages: Awaited<ReturnType<typeof builtPages>>
    const stations: { stop(): Promise<void> }[] = []
    const endpoints: Record<string, { endpointId: string; assetId: string }> = {}
    const errors: string[] = []
    /** Of all pictures: kept to the end, so that one finding hides no other. */
    const problems: string[] = []

    beforeAll(async () => {
      await rm(FOLDER, { recursive: true, force: true })
      await mkdir(FOLDER, { recursive: true })
      pages = await builtPages()
      plant = await startPlant({ webDir: pages.folder })
      browser = await openChromium({ hosts: [plant.host], ca: plant.ca, timeZone: 'Europe/Vienna' })
      for (const machine of MACHINES) {
        const station = await startMachine(machine)
        stations.push(station)
        endpoints[machine.name] = await plant.asset({ ...machine, target: station.target })
      }
      await plant.ticket('CHG-1042', ['Robot cell 4'], {
        title: 'Gripper program, cell 4',
        fromMs: -hours(2),
        toMs: hours(10),
      })
      await plant.ticket('CHG-1047', ['Press line 2'], {
        title: 'Firmware 4.3.0, press line 2',
        fromMs: -hours(1),
        toMs: hours(30),
      })
      await plant.ticket('CHG-1050', ['Test bench', 'Robot cell 4'], {
        title: 'Try-out on the test bench',
        fromMs: -hours(1),
        toMs: hours(72),
      })
      await plant.ticket('CHG-1055', ['Mixing station 3'], { title: 'Level control, mixing station 3' })
      for (const [who, name, role] of [
        ['vendor', 'Vera Kowalski', 'vendor'],
        ['approver', 'Max Huber', 'approver'],
        ['operator', 'Oleg Brandt', 'operator'],
        ['auditor', 'Anna Weiss', 'auditor'],
        ['administrator', 'Ada Novak', 'administrator'],
      ] as const) {
        const person = await browser.person({
          timeZone: who === 'vendor' ? 'America/Chicago' : 'Europe/Vienna',
        })
        people[who] = person
        await person.emulateMedia({ reducedMotion: 'reduce' })
        person.on('pageerror', (error) => errors.push(`${who} ${person.url()}: ${error.message}`))
        person.on('console', (message) => {
          // Refusals that a page shows are logged by the browser too.
          if (message.type() === 'error' && !/Failed to load resource/.test(message.text()))
            errors.push(`${who} ${person.url()}: ${message.text()}`)
        })
        const { link, id } = await plant.invite(name, [role], role === 'vendor')
        await setUpInBrowser(person, link)
        await plant.confirmPasskeys(id)
      }
    })
    afterAll(async () => {
      await browser?.close()
      await plant?.stop()
      for (const station of stations) await station.stop()
      await pages?.remove()
    })

    const go = async (who: string, path: string): Promise<Page> => {
      const person = page(who)
      await person.goto(plant.origin + path)
      await person.locator('h1').first().waitFor()
      return person
    }
    /** Pictures at both widths (in the long round some also dark), looked over by axe-core. */
    const look = async (who: string, name: string, how: { dark?: boolean; screenOnly?: boolean } = {}) => {
      const person = page(who)
      const schemes = how.dark && rounds.isLong ? (['light', 'dark'] as const) : (['light'] as const)
      for (const [size, viewport] of [
        ['390', PHONE],
        ['1440', DESK],
      ] as const) {
        await resize(person, viewport)
        for (const scheme of schemes) {
          if (schemes.length > 1) await person.emulateMedia({ colorScheme: scheme })
          const file = `${name}-${size}${scheme === 'dark' ? '-dark' : ''}`
          const { long, wider } = await settled(person)
          if (wider > 0) problems.push(`${file}: ${wider} px wider than the screen`)
          // Bars stand at the bottom of the screen: in a picture of a whole page the screen is as long as the page.
          const height = how.screenOnly ? viewport.height : Math.max(viewport.height, long)
          await resize(person, { ...viewport, height })
          await writeFile(join(FOLDER, `${file}.png`), await picture(person))
          // What a page is made of is the same at both widths; the long round looks at everything.
          if (size === '390' && !rounds.isLong) continue
          await resize(person, viewport)
          for (const violation of await axe(person))
            problems.push(
              `${file}: ${violation.impact} ${violation.id}: ${violation.help}: ${violation.nodes
                .slice(0, 2)
                .map((node) => `${node.target.join(' ')} ${node.html.slice(0, 120)}`)
                .join(' | ')}`,
            )
        }
        if (schemes.length > 1) await person.emulateMedia({ colorScheme: 'light' })
      }
    }
    const ask = async (
      asset: string,
      key: string,
      purpose: string,
      window: [from: number, to: number],
      features: BodyInput<'POST /api/requests'>['features'] = ['clipboard-copy'],
      account = 'service',
    ): Promise<string> => {
      // Through the page's own API, so that it is this vendor who asks.
      const csrf = await csrfOf(page('vendor'))
      const body = {
        endpointId: endpoints[asset]?.endpointId,
        account,
        features,
        purpose,
        ticket: { system: 'file', key },
        window: {
          opensAt: new Date(Date.now() + window[0]).toISOString(),
          closesAt: new Date(Date.now() + window[1]).toISOString(),
        },
      }
      return page('vendor').evaluate(
        async ([token, text]) => {
          const answer = await fetch('/api/requests', {
            method: 'POST',
            headers: { 'content-type': 'application/json', 'x-csrf-token': token ?? '' },
            body: text ?? '',
          })
          const made = (await answer.json()) as { id: string }
          if (!answer.ok) throw new Error(JSON.stringify(made))
          return made.id
        },
        [csrf, JSON.stringify(body)],
      )
    }

    step('at the entrance', async () => {
      const stranger = await browser.person({ timeZone: 'Europe/Vienna' })
      people.stranger = stranger
      await stranger.emulateMedia({ reducedMotion: 'reduce' })
      await go('stranger', '/sign-in')
      await look('stranger', 'sign-in', { dark: true })
      const { link } = await plant.invite('Ines Okafor', ['approver'])
      await stranger.goto(link)
      await stranger.getByText('For Ines Okafor').waitFor()
      await look('stranger', 'set-up')
      await stranger.goto(`${plant.origin}/trust`)
      await stranger.locator('h1').waitFor()
      await look('stranger', 'trust', { dark: true })
    })

    step('before there is anything: what empty pages teach', async () => {
      await go('vendor', '/work')
      await page('vendor').getByText('Nothing here yet').waitFor()
      await look('vendor', 'work-empty')
      await go('approver', '/decide')
      await look('approver', 'decide-empty')
      await go('operator', '/inside')
      await look('operator', 'inside-empty')
      await go('auditor', '/sessions')
      await look('auditor', 'sessions-empty')
    })

    step('the vendor: request form, requests, my work', async () => {
      const vendor = await go('vendor', '/requests/new')
      await look('vendor', 'new-request')
      await vendor.getByRole('button', { name: /Robot cell 4/ }).click()
      await vendor.getByRole('button', { name: /CHG-1042/ }).click()
      await vendor
        .getByLabel('Purpose')
        .fill('Replace the gripper program of robot 4 after the pressure alarms')
      await vendor
        .getByRole('complementary', { name: 'What the policy says' })
        .getByText(/approv/i)
        .first()
        .waitFor()
      await look('vendor', 'new-request-filled', { dark: true })

      const bench = await ask('Test bench', 'CHG-1050', 'Read out the controller before the change', [
        -minutes(1),
        minutes(60),
      ])
      await approve(page('approver'), 'Read out the controller before the change')
      await openSession(vendor, bench)
      await shown(vendor, 'for the commands.')
      for (const command of ['status', 'ls', 'cat alarms.log', 'firmware']) {
        await typeLine(vendor, command)
        await shown(vendor, `$ ${command}`)
      }
      await shown(vendor, 'available 4.3.0')
      await vendor.getByRole('button', { name: 'End session' }).click()
      await vendor.getByRole('button', { name: 'End it now' }).click()
      await vendor.getByLabel('What was changed').fill('Read out the state, changed nothing.')
      await look('vendor', 'session-ended', { screenOnly: true })
      await vendor.getByRole('button', { name: 'Hand in' }).click()
      await vendor.getByText('Handed in.').waitFor()

      await ask('Robot cell 4', 'CHG-1042', 'Replace the gripper program of robot 4', [
        -minutes(1),
        minutes(240),
      ])
      await ask('Test bench', 'CHG-1050', 'Try the new gripper program on the bench', [hours(20), hours(24)])
      const press = await ask(
        'Press line 2',
        'CHG-1047',
        'Load firmware 4.3.0 and check the axis limits',
        [minutes(5), minutes(125)],
        ['clipboard-copy', 'clipboard-paste'],
      )
      await approve(page('approver'), 'Try the new gripper program on the bench')
      await approve(page('approver'), 'Replace the gripper program of robot 4')
      await look('approver', 'decision-approved')
      await go('vendor', '/work')
      await vendor.getByText('Load firmware 4.3.0').waitFor()
      await look('vendor', 'work', { dark: true })
      await go('vendor', `/requests/${press}`)
      await look('vendor', 'request-waiting')
      await go('vendor', '/account')
      await look('vendor', 'account')
    })

    step('the approver: what waits, the card, narrowing, signing, declining', async () => {
      const approver = await go('approver', '/decide')
      await look('approver', 'decide', { dark: true })
      await approver.getByRole('link', { name: 'Load firmware 4.3.0 and check the axis limits' }).click()
      await approver.getByRole('button', { name: 'Approve with passkey' }).waitFor()
      await look('approver', 'decision', { dark: true })
      await approver.getByRole('button', { name: 'Decline' }).click()
      await approver.getByRole('dialog').waitFor()
      await look('approver', 'decision-decline', { screenOnly: true })
      await approver.getByRole('button', { name: 'Back' }).click()
      await approver.getByRole('button', { name: 'Narrow' }).click()
      await approver.getByLabel('View only: nothing can be typed').check()
      await look('approver', 'decision-narrow', { screenOnly: true })
      await approver.getByRole('button', { name: 'Keep this' }).click()
      await approver.getByRole('button', { name: 'Approve with passkey' }).click()
      await approver.getByText('You sign this').waitFor()
      await look('approver', 'decision-sign', { screenOnly: true, dark: true })
      await approver.getByRole('dialog').getByRole('button', { name: 'Back' }).click()
      await go('approver', '/history')
      await approver.getByText('Test bench').first().waitFor()
      await look('approver', 'history')
      await go('approver', '/account')
      await look('approver', 'account-approver')
    })

    step('a session and those who look on', async () => {
      const vendor = page('vendor')
      await go('vendor', '/work')
      await vendor
        .getByRole('listitem')
        .filter({ hasText: 'Robot cell 4' })
        .getByRole('link', { name: 'Open session' })
        .click()
      await vendor.getByLabel('I have read this and accept it').waitFor()
      await look('vendor', 'open')
      const requestId = new URL(vendor.url()).pathname.split('/')[2] ?? ''
      await openSession(vendor, requestId)
      await shown(vendor, 'for the commands.')
      await typeLine(vendor, 'status')
      await shown(vendor, 'gripper')
      await typeLine(vendor, 'monitor')
      await shown(vendor, 'axis monitor')
      await look('vendor', 'session', { screenOnly: true })
      await vendor.getByRole('button', { name: 'Ticket, time, notes' }).click()
      await vendor.getByLabel('Why').fill('The program transfer still runs, 60 % done')
      await vendor
        .getByLabel('What you changed')
        .or(vendor.getByPlaceholder('What you changed'))
        .first()
        .fill('Gripper program 7 replaced by 8')
      await look('vendor', 'session-drawer', { screenOnly: true })
      await vendor.getByRole('button', { name: 'Ask the approver' }).click()
      await vendor.getByText(/waits for an approver/).waitFor()
      await vendor.getByRole('complementary').getByRole('button', { name: 'Close' }).click()

      const approver = await go('approver', '/decide')
      await approver.getByText('The program transfer still runs').waitFor()
      await look('approver', 'decide-extension')
      const operator = await go('operator', '/inside')
      await operator.getByText('Vera Kowalski').first().waitFor()
      await look('operator', 'inside', { dark: true })
      // The wall's live screens are watching: the engineer reads who looks, until they are switched off.
      await operator.getByLabel('Live screens').check()
      await shown(operator, 'axis monitor')
      await vendor.getByText('Oleg Brandt watches').waitFor()
      await look('operator', 'inside-live', { dark: true })
      await operator.getByLabel('Live screens').uncheck()
      await vendor.getByText('Nobody watches').waitFor()
      await operator.getByRole('link', { name: 'Watch' }).click()
      await shown(operator, 'axis monitor')
      await look('operator', 'watch', { screenOnly: true })
      await operator.getByRole('button', { name: 'Hold' }).click()
      await operator.getByLabel('Why you hold it').fill('Somebody is in the cell')
      await operator.getByRole('button', { name: 'Freeze input' }).click()
      await vendor.getByText('Input is frozen by Oleg Brandt.').waitFor()
      await look('vendor', 'session-held', { screenOnly: true, dark: true })
      await look('operator', 'watch-held', { screenOnly: true })
      await go('operator', '/inside')
      await look('operator', 'inside-held')
      await go('operator', '/assets')
      await operator.getByText('Press line 2').first().waitFor()
      await look('operator', 'assets')
      await go('operator', '/inside')
      const stop = operator.getByRole('button', { name: 'Stop' })
      const box = await stop.boundingBox()
      if (!box) throw new Error('Stop is not on the screen')
      await operator.mouse.move(box.x + box.width / 2, box.y + box.height / 2)
      await operator.mouse.down()
      await operator.getByText('Stopped.').waitFor()
      await operator.mouse.up()
      await look('operator', 'inside-stopped')
      await vendor
        .getByText(/An operator/)
        .first()
        .waitFor()
      await look('vendor', 'session-stopped', { screenOnly: true })
    })

    step('a desktop and who looks on', async () => {
      const vendor = page('vendor')
      const purpose = 'Tune the level control of tank T-301'
      const window: [number, number] = [-minutes(1), minutes(60)]
      await go('vendor', '/work')
      const both = ['clipboard-copy', 'clipboard-paste'] as const
      const panel = await ask('Mixing station 3', 'CHG-1055', purpose, window, [...both], VNC_ACCOUNT)
      await approve(page('approver'), purpose)
      await openSession(vendor, panel)
      await desktopShown(vendor)
      await look('vendor', 'desktop', { screenOnly: true })
      await vendor.getByRole('button', { name: 'Keys' }).click()
      await look('vendor', 'desktop-keys', { screenOnly: true })
      await vendor.getByRole('button', { name: 'Clipboard' }).click()
      await look('vendor', 'desktop-clipboard', { screenOnly: true })
      const operator = await go('operator', '/inside')
      await operator
        .getByRole('article')
        .filter({ hasText: 'Mixing station 3' })
        .getByRole('link', { name: 'Watch' })
        .click()
      await desktopShown(operator)
      await look('operator', 'desktop-watch', { screenOnly: true })
      await vendor.getByRole('button', { name: 'End session' }).click()
      await vendor.getByRole('button', { name: 'End it now' }).click()
      await vendor.getByLabel('What was changed').waitFor()
    })

    step('the auditor: sessions, one session, player, log, integrity', async () => {
      const auditor = await go('auditor', '/sessions')
      await auditor.getByText('Complete').first().waitFor()
      await look('auditor', 'sessions', { dark: true })
      const bench = auditor.getByRole('row').filter({ hasText: 'Test bench' })
      await bench.getByRole('link', { name: 'Test bench', exact: true }).click()
      await auditor.getByText('What the log says').waitFor()
      await look('auditor', 'session-page')
      await auditor.getByRole('link', { name: 'Play recording' }).click()
      await auditor.locator('.text-line').first().waitFor()
      await auditor.getByRole('slider', { name: 'Place in the recording' }).press('End')
      await auditor.getByRole('button', { name: 'Verify now' }).click()
      await auditor.getByText('Verified', { exact: true }).waitFor()
      await look('auditor', 'player', { dark: true })
      await auditor.getByRole('button', { name: 'Evidence package' }).click()
      await auditor.getByLabel('For whom').waitFor()
      await look('auditor', 'package', { screenOnly: true })
      await go('auditor', '/audit')
      await auditor.getByRole('row').nth(2).waitFor()
      await look('auditor', 'audit')
      await go('auditor', '/integrity')
      await look('auditor', 'integrity', { dark: true })
    })

    step('the administrator', async () => {
      const administrator = page('administrator')
      for (const [name, path, text] of [
        ['admin-assets', '/admin/assets', 'Robot cell 4'],
        ['admin-asset', `/admin/assets/${endpoints['Robot cell 4']?.assetId}`, 'SHA256:'],
        ['admin-sites', '/admin/sites', 'Plant DMZ'],
        ['admin-people', '/admin/people', 'Vera Kowalski'],
        ['admin-rules', '/admin/rules', 'C2'],
        ['admin-tickets', '/admin/tickets', 'Change export'],
        ['admin-gateways', '/admin/gateways', 'gateway-1'],
      ] as const) {
        await go('administrator', path)
        await administrator.getByText(text).first().waitFor()
        await look('administrator', name, { dark: name === 'admin-gateways' })
      }
      await go('administrator', '/admin/people')
      await administrator.getByRole('link', { name: 'Max Huber' }).click()
      await administrator.getByText(/Confirmed by/).waitFor()
      await look('administrator', 'admin-person')
      await go('administrator', '/admin/people')
      await administrator.getByRole('button', { name: 'Add person' }).click()
      await administrator.getByRole('dialog').waitFor()
      await look('administrator', 'admin-person-form', { screenOnly: true })
      await administrator.goto(`${plant.origin}/nowhere`)
      await administrator.locator('h1').waitFor()
      await look('administrator', 'not-found')
    })

    step('nothing wider than the screen, nothing serious for axe-core', async () => {
      expect(problems).toEqual([])
    })

    step('no page reported an error, and the Content Security Policy was never in the way', async () => {
      expect(errors).toEqual([])
    })
  })

async function csrfOf(person: Page): Promise<string> {
  return person.evaluate(async () => ((await (await fetch('/api/me')).json()) as { csrf: string }).csrf)
}

/** Waits until the page's desktop has a picture. */
async function desktopShown(person: Page): Promise<void> {
  await person.waitForFunction((colour) => {
    const canvas = document.querySelector<HTMLCanvasElement>('.screen-place canvas')
    if (!canvas || canvas.width === 0) return false
    const [red = 0, green = 0, blue = 0] = canvas.getContext('2d')?.getImageData(600, 10, 1, 1).data ?? []
    return ((red << 16) | (green << 8) | blue) === colour
  }, COLOUR.title)
}

async function resize(person: Page, to: { width: number; height: number }): Promise<void> {
  const now = person.viewportSize()
  if (now?.width !== to.width || now.height !== to.height) await person.setViewportSize(to)
}

/** Waits until nothing loads any more and the page is drawn: how long it is, and how much wider than the screen. */
async function settled(person: Page): Promise<{ long: number; wider: number }> {
  await person.waitForFunction(
    () => document.fonts.status === 'loaded' && !document.querySelector('[aria-busy="true"]'),
  )
  return await person.evaluate(
    () =>
      new Promise((done) =>
        requestAnimationFrame(() =>
          requestAnimationFrame(() => {
            const { scrollHeight, scrollWidth } = document.documentElement
            done({ long: scrollHeight, wider: scrollWidth - window.innerWidth })
          }),
        ),
      ),
  )
}

const debuggers = new WeakMap<Page, Promise<CDPSession>>()
function debuggerOf(person: Page): Promise<CDPSession> {
  const known = debuggers.get(person) ?? person.context().newCDPSession(person)
  debuggers.set(person, known)
  return known
}

/** Of the screen, by the debugger, which can be told to compress for speed: Playwright's own takes three times as long. */
async function picture(person: Page): Promise<Buffer> {
  const debug = await debuggerOf(person)
  const { data } = await debug.send('Page.captureScreenshot', {
    format: 'png',
    optimizeForSpeed: true,
    clip: { x: 0, y: 0, scale: 1, ...(person.viewportSize() ?? DESK) },
  })
  return Buffer.from(data, 'base64')
}

/** Serious and critical findings. Injected through the debugger, which the page's CSP does not bind. */
async function axe(person: Page): Promise<Violation[]> {
  const debug = await debuggerOf(person)
  const run = async <T>(expression: string): Promise<T> => {
    const { result, exceptionDetails } = await debug.send('Runtime.evaluate', {
      expression,
      awaitPromise: true,
      returnByValue: true,
    })
    if (exceptionDetails) throw new Error(`axe-core: ${JSON.stringify(exceptionDetails)}`)
    return result.value as T
  }
  if (!(await run<boolean>(`'axe' in window`))) await run(AXE)
  const found = await run<Violation[]>(
    `axe.run(document, { resultTypes: ['violations'], runOnly: ${JSON.stringify(RULES)} }).then((result) =>
      result.violations.map(({ id, impact, help, nodes }) => ({ id, impact, help,
        nodes: nodes.map(({ target, html }) => ({ target, html })) })))`,
  )
  return found.filter(({ impact }) => impact === 'serious' || impact === 'critical')
}
