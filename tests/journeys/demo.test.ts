import { type ChildProcess, spawn } from 'node:child_process'
import { existsSync } from 'node:fs'
import { readdir, readFile, stat } from 'node:fs/promises'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import type { Page } from 'playwright-core'
import { afterAll, describe, expect } from 'vitest'
import { type Area, BUTTONS, COLOUR, PUMP_LAMP } from '../demo/hmi/picture.ts'
import { type LabBrowser, openChromium, PHONE } from '../lab/chromium.ts'
import { freePort } from '../lab/free-port.ts'
import { missingTools } from '../lab/lab.ts'
import { shown, typeLine } from '../lab/page-actions.ts'
import { until } from '../lab/until.ts'
import { xrdpMachineMissing } from '../lab/xrdp-machine.ts'
import { stepsOf } from './steps.ts'

const missing = missingTools('chromium').join(', ') || null
const noRdp = xrdpMachineMissing()
/** Colours of the station's program: of its title, and of the bar while a program is loaded. */
const STATION_TITLE = 0x26465c
const STATION_LOADS = 0xb06200
const ROOT = join(import.meta.dirname, '..', '..')

/** The demo as somebody meets it who has just cloned the repository: its own words are followed, step by step. */
describe.skipIf(missing !== null)(`the demo${missing ? ` (skipped: ${missing})` : ''}`, () => {
  const people: Record<string, Page> = {}
  const step = stepsOf('demo', people)
  let child: ChildProcess | null = null
  let browser: LabBrowser
  let output = ''
  let origin = ''
  let foldersBefore: string[] = []

  afterAll(async () => {
    await browser?.close()
    if (child && child.exitCode === null) child.kill('SIGKILL')
  })

  /** One click on the company's sign-in, one on the person, as the tour says. */
  const signIn = async (name: string, phone = false): Promise<Page> => {
    const page = await browser.person({ timeZone: 'Europe/Vienna', ...(phone ? { viewport: PHONE } : {}) })
    people[name] = page
    // The demo's passkey asks with a plain question; a person says yes.
    page.on('dialog', (dialog) => void dialog.accept())
    await page.goto(origin)
    await page.getByRole('link', { name: /^Sign in with/ }).click()
    await page.getByRole('button', { name }).click()
    await page.getByRole('main').locator('h1').waitFor()
    return page
  }

  step('it starts, and says where to go and what to do', async () => {
    foldersBefore = await demoFolders()
    const port = await freePort()
    child = spawn(process.execPath, [join(ROOT, 'tests', 'demo', 'demo.ts')], {
      env: { ...process.env, DEMO_PORT: String(port) },
      stdio: ['ignore', 'pipe', 'pipe'],
    })
    for (const stream of [child.stdout, child.stderr])
      stream?.on('data', (chunk: Buffer) => {
        output += chunk.toString()
      })
    await until(
      () => {
        if (child?.exitCode !== null) throw new Error(`the demo ended:\n${output}`)
        return output.includes('Ctrl-C ends it')
      },
      'the tour is printed',
      110_000,
    )
    origin = /Ready: (\S+)/.exec(output)?.[1] ?? ''
    expect(origin).toBe(`http://localhost:${port}`)
    for (const person of ['Vera Kowalski', 'Max Huber', 'Oleg Brandt', 'Anna Weiss', 'Ada Novak'])
      expect(output).toContain(person)
    browser = await openChromium({ hosts: ['localhost'], ca: null })
  })

  step('1: Vera has an approved visit; she accepts the notice and works', async () => {
    const vera = await signIn('Vera Kowalski')
    await vera.getByRole('heading', { name: 'My work' }).waitFor()
    const visit = vera.getByRole('listitem').filter({ hasText: 'Replace the gripper program of robot 4' })
    await visit.getByRole('link', { name: 'Open session' }).click()
    await vera.getByLabel('I have read this and accept it').check()
    await vera.getByRole('button', { name: 'Open session' }).click()
    await shown(vera, 'for the commands.')
    await typeLine(vera, 'help')
    await shown(vera, 'live axis monitor')
    await typeLine(vera, 'firmware load')
    await shown(vera, 'Do not switch off.')
    await shown(vera, /\[=+ +\]/)
    await vera.keyboard.press('q')
    await typeLine(vera, 'monitor')
    await shown(vera, 'axis monitor')
  })

  step('1: Vera opens the panel of the mixing station, a desktop, and stops its pump', async () => {
    const vera = await people['Vera Kowalski']?.context().newPage()
    if (!vera) throw new Error('Vera is not here')
    people['Vera at the panel'] = vera
    await vera.goto(`${origin}/work`)
    const visit = vera.getByRole('listitem').filter({ hasText: 'Tune the level control of tank T-301' })
    await visit.getByRole('link', { name: 'Open session' }).click()
    await vera.getByLabel('I have read this and accept it').check()
    await vera.getByRole('button', { name: 'Open session' }).click()
    await until(async () => (await colourAt(vera, 600, 10)) === COLOUR.title, 'the title bar is shown')
    expect(await colourAt(vera, PUMP_LAMP.x, PUMP_LAMP.y)).toBe(COLOUR.running)
    await clickAt(vera, BUTTONS.stop)
    const lamp = () => colourAt(vera, PUMP_LAMP.x, PUMP_LAMP.y)
    await until(async () => (await lamp()) === COLOUR.stopped, 'the pump is shown as stopped')
    // Its keys: s starts it again.
    await vera.keyboard.press('s')
    await until(async () => (await lamp()) === COLOUR.running, 'the pump is shown as running')
    await vera.getByRole('button', { name: 'End session' }).click()
    await vera.getByRole('button', { name: 'End it now' }).click()
    await vera.getByLabel('What was changed').fill('Nothing: pump stopped and started again')
    await vera.getByRole('button', { name: 'Hand in' }).click()
    await vera.getByText('Handed in.').waitFor()
    delete people['Vera at the panel']
    await vera.close()
  })

  step('1: Vera loads a program at the engineering station over RDP, where xrdp is', async () => {
    if (noRdp) {
      expect(output).toContain(`Without its engineering station over RDP (${noRdp})`)
      return
    }
    const vera = await people['Vera Kowalski']?.context().newPage()
    if (!vera) throw new Error('Vera is not here')
    people['Vera at the station'] = vera
    await vera.goto(`${origin}/work`)
    const visit = vera.getByRole('listitem').filter({ hasText: 'Give the spray booth 8 seconds to clear' })
    await visit.getByRole('link', { name: 'Open session' }).click()
    await vera.getByLabel('I have read this and accept it').check()
    await vera.getByLabel('Keyboard before you').selectOption({ label: 'German' })
    await vera.getByRole('button', { name: 'Open session' }).click()
    await until(async () => (await pixelsLike(vera, STATION_TITLE)) > 20_000, 'its title is shown', 60_000)
    await vera.keyboard.type('e8')
    await vera.keyboard.press('Enter')
    await vera.keyboard.type('d')
    await until(async () => (await pixelsLike(vera, STATION_LOADS)) > 500, 'it shows how far it is', 30_000)
    await until(async () => (await pixelsLike(vera, STATION_LOADS)) < 50, 'it has loaded', 30_000)
    await vera.getByRole('button', { name: 'End session' }).click()
    await vera.getByRole('button', { name: 'End it now' }).click()
    await vera.getByLabel('What was changed').fill('The booth has 8 seconds to clear')
    await vera.getByRole('button', { name: 'Hand in' }).click()
    await vera.getByText('Handed in.').waitFor()
    delete people['Vera at the station']
    await vera.close()
  })

  step('2: Max reads the card on a narrow screen, narrows it, and signs with the demo passkey', async () => {
    const max = await signIn('Max Huber', true)
    await max.getByRole('heading', { name: 'Decide' }).waitFor()
    await max.getByRole('link', { name: /Load firmware 4\.3\.0/ }).click()
    await max.getByRole('button', { name: 'Narrow' }).click()
    const closes = max.getByLabel(/^Closes, plant time/)
    const before = await closes.inputValue()
    const earlier = new Date(`${before}Z`).getTime() - 30 * 60_000
    await closes.fill(new Date(earlier).toISOString().slice(0, 16))
    await max.getByRole('button', { name: 'Keep this' }).click()
    await max.getByText('You narrow it:').waitFor()
    await max.getByRole('button', { name: 'Approve with passkey' }).click()
    await max.getByRole('dialog').getByRole('button', { name: 'Approve with passkey' }).click()
    await max.getByText('What happens next.').waitFor()
    // The vendor's page hears of it.
    const vera = await people['Vera Kowalski']?.context().newPage()
    if (!vera) throw new Error('Vera is not here')
    await vera.goto(`${origin}/work`)
    await vera
      .getByRole('listitem')
      .filter({ hasText: 'Load firmware 4.3.0' })
      .getByText('Approved')
      .waitFor()
    await vera.close()
  })

  step('3: Oleg sees Vera inside, watches, holds, gives back and stops', async () => {
    const oleg = await signIn('Oleg Brandt')
    const vera = people['Vera Kowalski']
    if (!vera) throw new Error('Vera is not here')
    await oleg.getByRole('heading', { name: 'Inside now' }).waitFor()
    await oleg.getByRole('link', { name: 'Watch' }).click()
    await shown(oleg, 'axis monitor')
    await oleg.getByRole('button', { name: 'Hold' }).click()
    await oleg.getByLabel('Why you hold it').fill('Somebody is in the cell')
    await oleg.getByRole('button', { name: 'Freeze input' }).click()
    await vera.getByText('Input is frozen by Oleg Brandt.').waitFor()
    await oleg.getByRole('button', { name: 'Give input back' }).click()
    await vera.getByText('Input is frozen').waitFor({ state: 'hidden' })
    await vera.locator('.xterm-helper-textarea').focus()
    await vera.keyboard.press('q')
    await typeLine(vera, 'cat cell4.cfg')
    await shown(vera, 'gripper-b')
    const stop = oleg.getByRole('button', { name: 'Stop' })
    const box = await stop.boundingBox()
    if (!box) throw new Error('Stop is not on the screen')
    // A tap does nothing; holding it for a second does.
    await stop.click()
    await oleg.mouse.move(box.x + box.width / 2, box.y + box.height / 2)
    await oleg.mouse.down()
    await oleg.getByText('Stopped.').waitFor()
    await oleg.mouse.up()
    await vera.getByRole('heading', { name: 'Stopped by an operator' }).waitFor()
    await vera.getByLabel('What was changed').fill('Nothing: stopped before the change')
    await vera.getByRole('button', { name: 'Hand in' }).click()
    await vera.getByText('Handed in.').waitFor()
  })

  step('4: Anna plays a session, jumps through its text, verifies it, takes the package away', async () => {
    const anna = await signIn('Anna Weiss')
    await anna.getByRole('heading', { name: 'Sessions' }).waitFor()
    const row = anna.getByRole('row').filter({ hasText: 'Test bench' })
    await row.getByRole('link', { name: /^Play/ }).click()
    await anna.locator('.text-line').filter({ hasText: 'alarms.log' }).last().click()
    await anna.locator('.stage-frame').getByText('alarms.log').first().waitFor()
    await anna.getByRole('button', { name: 'Play', exact: true }).click()
    await anna.getByRole('button', { name: 'Pause' }).waitFor()
    await anna.getByRole('button', { name: 'Verify now' }).click()
    await anna.getByText('Verified', { exact: true }).waitFor()
    await anna.getByRole('button', { name: 'Evidence package' }).click()
    await anna.getByLabel('For whom').fill('Berta Klein, safety authority')
    await anna.getByLabel('Purpose').fill('To try the demo')
    const saved: string[] = []
    anna.on('download', (download) => saved.push(download.suggestedFilename()))
    await anna.getByRole('button', { name: 'Build and download' }).click()
    await anna.getByText('Handed over.').waitFor()
    await until(() => saved.some((name) => name.endsWith('.zip')), 'the package is saved')
  })

  step('5: Ada finds machines, people, gateways and health', async () => {
    const ada = await signIn('Ada Novak')
    for (const [entry, text] of [
      ['Assets', 'Press line 2'],
      ['Vendors and people', 'Krantz Robotics'],
      ['Gateways and health', 'gateway-1'],
    ] as const) {
      await ada.getByRole('navigation', { name: 'Pages' }).first().getByRole('link', { name: entry }).click()
      await ada.getByText(text).first().waitFor()
    }
    // The tour says: or sign out in between. Then the company's sign-in must ask again who it is.
    await ada.getByRole('button', { name: /account and appearance/ }).click()
    await ada.getByRole('button', { name: 'Sign out' }).click()
    await ada.getByRole('link', { name: /^Sign in with/ }).click()
    await ada.getByRole('button', { name: 'Ines Okafor' }).click()
    await ada.getByRole('heading', { name: 'Decide' }).waitFor()
    // No page of anybody showed an alarm.
    for (const page of Object.values(people)) expect(await page.locator('.banner').count()).toBe(0)
  })

  step('Ctrl-C ends it and removes what it made', async () => {
    const station = await stationOf(child?.pid)
    expect(station === null).toBe(noRdp !== null)
    const ended = new Promise<number | null>((resolve) => child?.once('exit', resolve))
    child?.kill('SIGINT')
    expect(await ended).toBe(0)
    if (station)
      expect([existsSync(station.folder), existsSync(`/proc/${station.pid}`)]).toEqual([false, false])
    expect(await demoFolders()).toEqual(foldersBefore)
    expect(output).not.toMatch(/Error|WARN|at .*\.ts:\d+/)
  })
})

async function demoFolders(): Promise<string[]> {
  const names = (await readdir(tmpdir())).filter((name) => name.startsWith('sallyport-demo-'))
  const folders = await Promise.all(
    names.map(async (name) => ((await stat(join(tmpdir(), name)).catch(() => null)) ? name : null)),
  )
  return folders.filter((name) => name !== null).sort()
}

/** The process that holds the demo's engineering station, and its folder. */
async function stationOf(pid: number | undefined): Promise<{ pid: string; folder: string } | null> {
  const children = await readFile(`/proc/${pid}/task/${pid}/children`, 'utf8')
  for (const one of children.split(' ').filter(Boolean)) {
    const folder = /\/\S*\/sallyport-xrdp-\w+/.exec(await readFile(`/proc/${one}/cmdline`, 'latin1'))?.[0]
    if (folder) return { pid: one, folder }
  }
  return null
}

/** How many pixels of the desktop on the page are about 0xRRGGBB; RemoteFX is not exact. */
function pixelsLike(page: Page, colour: number): Promise<number> {
  return page.evaluate((wanted) => {
    const canvas = document.querySelector<HTMLCanvasElement>('.screen-place canvas:not(.desktop-kept)')
    if (!canvas || canvas.width === 0) return 0
    const pixels = canvas.getContext('2d')?.getImageData(0, 0, canvas.width, canvas.height).data ?? []
    const near = (at: number, shift: number) => Math.abs((pixels[at] ?? 0) - ((wanted >> shift) & 255)) < 12
    let count = 0
    for (let at = 0; at < pixels.length; at += 4)
      if (near(at, 16) && near(at + 1, 8) && near(at + 2, 0)) count += 1
    return count
  }, colour)
}

/** What the desktop on the page shows at a place of its own picture, 0xRRGGBB; null before there is any. */
function colourAt(page: Page, x: number, y: number): Promise<number | null> {
  return page.evaluate(
    ([column, row]) => {
      const canvas = document.querySelector<HTMLCanvasElement>('.screen-place canvas')
      if (!canvas || canvas.width === 0) return null
      const [red = 0, green = 0, blue = 0] =
        canvas.getContext('2d')?.getImageData(column, row, 1, 1).data ?? []
      return (red << 16) | (green << 8) | blue
    },
    [x, y] as const,
  )
}

/** Clicks into the middle of a part of the picture, however large the page shows it. */
async function clickAt(page: Page, area: Area): Promise<void> {
  const canvas = page.locator('.screen-place canvas')
  const box = await canvas.boundingBox()
  const width = await canvas.evaluate((element) => (element as HTMLCanvasElement).width)
  if (!box) throw new Error('there is no picture')
  const scale = box.width / width
  await page.mouse.click(
    box.x + (area.x + area.width / 2) * scale,
    box.y + (area.y + area.height / 2) * scale,
  )
}
