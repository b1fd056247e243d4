import { mkdirSync, readFileSync } from 'node:fs'
import { dirname, resolve } from 'node:path'
import { fileURLToPath } from 'node:url'
import { type BrowserContext, chromium, type Page } from 'playwright-core'
import {
  assets,
  atConsole,
  consoles,
  liveSessionId,
  panel,
  past,
  people,
  type RoleName,
  requests,
  station,
} from './plant.ts'
import { type Fixture, startFixture } from './server.ts'

/**
 * Takes a picture of every page at 390 and 1440 px, light and dark, and runs axe-core on each.
 * Usage: node web/dev/look.ts [name …]   (needs `npm run build` before; pictures go to test-output/web)
 */
const root = resolve(dirname(fileURLToPath(import.meta.url)), '../..')
const out = resolve(root, 'test-output/web')
mkdirSync(out, { recursive: true })
const axe = readFileSync(fileURLToPath(import.meta.resolve('axe-core/axe.min.js')), 'utf8')

interface View {
  name: string
  role: RoleName
  path: string
  zone?: string
  before?: (fixture: Fixture) => void
  act?: (page: Page, fixture: Fixture) => Promise<void>
  wait?: string
}
const waiting = requests.find((request) => request.state === 'waiting')
const views: View[] = [
  { name: 'sign-in', role: 'vendor', path: '/sign-in' },
  { name: 'sign-in-problem', role: 'vendor', path: '/sign-in?problem=authentication-too-weak' },
  { name: 'set-up', role: 'vendor', path: '/set-up#token' },
  { name: 'account', role: 'approver', path: '/account' },
  { name: 'work', role: 'vendor', path: '/work', zone: 'America/Chicago' },
  {
    name: 'work-empty',
    role: 'vendor',
    path: '/work',
    before: (f) => {
      f.empty = true
    },
  },
  { name: 'request', role: 'vendor', path: `/requests/${requests[2]?.id}`, zone: 'America/Chicago' },
  { name: 'new-request', role: 'vendor', path: '/requests/new', zone: 'America/Chicago' },
  {
    name: 'new-request-filled',
    role: 'vendor',
    path: '/requests/new',
    zone: 'America/Chicago',
    act: async (page) => {
      await page.getByRole('button', { name: /Robot cell 4/ }).click()
      await page.getByLabel('Window opens').waitFor()
      await page
        .getByLabel('Purpose')
        .fill('Replace the spindle drive firmware after the vibration alarms of last week')
      await page.waitForTimeout(600)
    },
  },
  { name: 'open', role: 'vendor', path: `/requests/${requests[1]?.id}/open` },
  { name: 'request-console', role: 'vendor', path: `/requests/${atConsole.id}` },
  {
    name: 'request-console-asked',
    role: 'vendor',
    path: `/requests/${atConsole.id}`,
    act: async (page) => {
      await page.getByRole('button', { name: 'Ask the operators' }).click()
      await page.getByText('Asked').waitFor()
    },
  },
  {
    name: 'inside-console',
    role: 'operator',
    path: '/inside',
    before: (f) => {
      f.console = true
    },
  },
  {
    name: 'inside-console-ready',
    role: 'operator',
    path: '/inside',
    before: (f) => {
      f.console = true
    },
    act: async (page) => {
      await page.getByRole('button', { name: 'Ready' }).click()
      await page.getByRole('button', { name: 'Take back' }).waitFor()
    },
  },
  { name: 'open-console', role: 'vendor', path: `/requests/${atConsole.id}/open` },
  { name: 'decide-console', role: 'approver', path: `/decide/${atConsole.id}` },
  { name: 'session', role: 'vendor', path: `/sessions/${liveSessionId}/live`, wait: '.xterm-rows' },
  {
    name: 'session-warning',
    role: 'vendor',
    path: `/sessions/${liveSessionId}/live`,
    wait: '.xterm-rows',
    act: async (page, fixture) => {
      await page.waitForTimeout(400)
      fixture.push({
        type: 'state',
        state: 'live',
        inputFrozen: false,
        cause: null,
        by: null,
        remainingMs: 290_000,
        permitEndsAt: Date.now() + 290_000,
        end: null,
        message: null,
      })
      fixture.push({ type: 'warning', minutes: 5, endsAt: Date.now() + 290_000 })
      await page.getByRole('button', { name: 'Ticket, time, notes' }).click()
      await page.waitForTimeout(600)
    },
  },
  {
    name: 'session-held',
    role: 'vendor',
    path: `/sessions/${liveSessionId}/live`,
    wait: '.xterm-rows',
    act: async (page, fixture) => {
      await page.waitForTimeout(400)
      fixture.push({
        type: 'state',
        state: 'held',
        inputFrozen: true,
        cause: 'Somebody is in the cell.',
        by: 'Jonas Vogel',
        remainingMs: null,
        permitEndsAt: Date.now() + 3_000_000,
        end: null,
        message: null,
      })
      await page.waitForTimeout(600)
    },
  },
  {
    name: 'session-ended',
    role: 'vendor',
    path: `/sessions/${liveSessionId}/live`,
    wait: '.xterm-rows',
    act: async (page, fixture) => {
      await page.waitForTimeout(400)
      fixture.push({
        type: 'state',
        state: 'closed',
        inputFrozen: true,
        cause: null,
        by: null,
        remainingMs: null,
        permitEndsAt: Date.now(),
        end: 'window-closed',
        message: 'The window closed at 06:00 and an operator confirmed the end.',
      })
      await page.waitForTimeout(400)
    },
  },
  { name: 'decide', role: 'approver', path: '/decide' },
  {
    name: 'decide-empty',
    role: 'approver',
    path: '/decide',
    before: (f) => {
      f.empty = true
    },
  },
  { name: 'decision', role: 'approver', path: `/decide/${waiting?.id}` },
  {
    name: 'decision-narrow',
    role: 'approver',
    path: `/decide/${waiting?.id}`,
    act: async (page) => {
      await page.getByRole('button', { name: 'Narrow' }).click()
      await page.getByRole('dialog').getByText('View only').click()
      await page.waitForTimeout(400)
    },
  },
  {
    name: 'decision-sign',
    role: 'approver',
    path: `/decide/${waiting?.id}`,
    act: async (page) => {
      await page.getByRole('button', { name: 'Approve with passkey' }).click()
      await page.getByText('You sign this').waitFor()
      await page.waitForTimeout(400)
    },
  },
  { name: 'history', role: 'approver', path: '/history' },
  {
    name: 'inside',
    role: 'operator',
    path: '/inside',
    before: (f) => {
      f.alarms = true
    },
  },
  {
    name: 'inside-hold',
    role: 'operator',
    path: '/inside',
    act: async (page) => {
      await page.getByRole('button', { name: 'Hold', exact: true }).first().click()
      await page.waitForTimeout(300)
    },
  },
  { name: 'watch', role: 'operator', path: `/sessions/${liveSessionId}/watch`, wait: '.xterm-rows' },
  { name: 'assets', role: 'operator', path: '/assets' },
  { name: 'exceptions', role: 'operator', path: '/exceptions' },
  { name: 'exceptions-all', role: 'auditor', path: '/exceptions?state=all' },
  {
    name: 'exceptions-empty',
    role: 'operator',
    path: '/exceptions',
    before: (f) => {
      f.empty = true
    },
  },
  {
    name: 'exceptions-open',
    role: 'operator',
    path: '/exceptions',
    act: async (page) => {
      await page.getByRole('button', { name: 'Open exception' }).click()
      await page.waitForTimeout(400)
    },
  },
  {
    name: 'exceptions-close',
    role: 'operator',
    path: '/exceptions',
    act: async (page) => {
      await page.getByRole('button', { name: 'Close', exact: true }).first().click()
      await page.waitForTimeout(400)
    },
  },
  { name: 'sessions', role: 'auditor', path: '/sessions' },
  { name: 'session-page', role: 'auditor', path: `/sessions/${past[1]?.id}` },
  {
    name: 'player',
    role: 'auditor',
    path: `/recordings/${past[1]?.recordingId}?t=200`,
    wait: '.ap-term',
    act: async (page) => {
      await page.getByRole('button', { name: 'Verify now' }).click()
      await page.waitForTimeout(1200)
    },
  },
  {
    name: 'player-desktop',
    role: 'auditor',
    path: `/recordings/${past[4]?.recordingId}?t=200`,
    wait: '.stage canvas',
    act: async (page) => {
      await page.getByText('Skip idle').click()
      await page.waitForTimeout(1200)
    },
  },
  { name: 'integrity', role: 'auditor', path: '/integrity' },
  {
    name: 'integrity-trouble',
    role: 'auditor',
    path: '/integrity',
    before: (f) => {
      f.alarms = true
    },
  },
  { name: 'audit', role: 'auditor', path: '/audit' },
  {
    name: 'package',
    role: 'auditor',
    path: `/recordings/${past[1]?.recordingId}`,
    act: async (page) => {
      await page.getByRole('button', { name: 'Evidence package' }).click()
      await page.waitForTimeout(300)
    },
  },
  { name: 'admin-assets', role: 'administrator', path: '/admin/assets' },
  { name: 'admin-asset', role: 'administrator', path: `/admin/assets/${assets[4]?.id}` },
  { name: 'admin-asset-vnc', role: 'administrator', path: `/admin/assets/${panel.id}` },
  { name: 'admin-asset-rdp', role: 'administrator', path: `/admin/assets/${station.id}` },
  {
    name: 'admin-asset-console',
    role: 'administrator',
    path: `/admin/assets/${station.id}`,
    act: async (page) => {
      await page.getByRole('button', { name: 'Change' }).nth(1).click()
      await page.waitForTimeout(300)
    },
  },
  {
    name: 'admin-rdp-password',
    role: 'administrator',
    path: `/admin/assets/${station.id}`,
    act: async (page) => {
      await page.getByRole('button', { name: 'Add account' }).click()
      await page.waitForTimeout(300)
    },
  },
  {
    name: 'admin-endpoint-form-rdp',
    role: 'administrator',
    path: `/admin/assets/${station.id}`,
    act: async (page) => {
      await page.getByRole('button', { name: 'Add endpoint' }).click()
      await page.getByLabel('Protocol').selectOption('rdp')
      await page.getByLabel('Sign-in').selectOption('tls')
      await page.waitForTimeout(300)
    },
  },
  {
    name: 'admin-endpoint-form',
    role: 'administrator',
    path: `/admin/assets/${panel.id}`,
    act: async (page) => {
      await page.getByRole('button', { name: 'Add endpoint' }).click()
      await page.getByLabel('Protocol').selectOption('vnc')
      await page.getByLabel('Connection').selectOption('anonymous-tls')
      await page.waitForTimeout(300)
    },
  },
  {
    name: 'admin-vnc-password',
    role: 'administrator',
    path: `/admin/assets/${panel.id}`,
    act: async (page) => {
      await page.getByRole('button', { name: 'Replace' }).click()
      await page.waitForTimeout(300)
    },
  },
  { name: 'admin-sites', role: 'administrator', path: '/admin/sites' },
  { name: 'admin-people', role: 'administrator', path: '/admin/people' },
  { name: 'admin-person', role: 'administrator', path: `/admin/people/${people.maria.id}` },
  {
    name: 'admin-person-form',
    role: 'administrator',
    path: '/admin/people',
    act: async (page) => {
      await page.getByRole('button', { name: 'Add person' }).click()
      await page.waitForTimeout(300)
    },
  },
  { name: 'admin-rules', role: 'administrator', path: '/admin/rules' },
  { name: 'admin-tickets', role: 'administrator', path: '/admin/tickets' },
  { name: 'admin-gateways', role: 'administrator', path: '/admin/gateways' },
  {
    name: 'admin-gateways-restored',
    role: 'administrator',
    path: '/admin/gateways',
    before: (f) => {
      f.restored = true
    },
  },
  {
    name: 'admin-gateways-confirm',
    role: 'administrator',
    path: '/admin/gateways',
    before: (f) => {
      f.restored = true
    },
    act: async (page) => {
      await page.getByRole('button', { name: 'Confirm' }).click()
      await page.getByRole('dialog').waitFor()
    },
  },
]

interface Violation {
  id: string
  impact: string
  help: string
  nodes: { target: string[]; failureSummary: string }[]
}

async function check(page: Page): Promise<Violation[]> {
  // Through the debugger, which the page's Content Security Policy does not bind.
  await page.evaluate(axe)
  return (await page.evaluate(
    `axe.run(document, { runOnly: ['wcag2a', 'wcag2aa', 'wcag21a', 'wcag21aa', 'wcag22aa', 'best-practice'] }).then((r) => r.violations.map((v) => ({ id: v.id, impact: v.impact, help: v.help, nodes: v.nodes.map((n) => ({ target: n.target, failureSummary: n.failureSummary })) })))`,
  )) as Violation[]
}

const wanted = process.argv.slice(2).filter((word) => !word.startsWith('--'))
const quick = process.argv.includes('--quick')
const fixture = await startFixture(resolve(root, 'dist/web'))
const browser = await chromium.launch({
  executablePath: '/usr/bin/chromium',
  args: [
    '--headless',
    '--no-sandbox',
    '--disable-gpu',
    '--disable-quic',
    '--no-first-run',
    '--disable-background-networking',
    '--disable-component-update',
    '--disable-sync',
  ],
})
let problems = 0
const sizes = [
  { name: 'phone', width: 390, height: 844, scheme: 'light' as const },
  { name: 'desk', width: 1440, height: 900, scheme: 'light' as const },
  ...(quick
    ? []
    : [
        { name: 'phone-dark', width: 390, height: 844, scheme: 'dark' as const },
        { name: 'desk-dark', width: 1440, height: 900, scheme: 'dark' as const },
      ]),
]
for (const view of views) {
  if (wanted.length > 0 && !wanted.includes(view.name)) continue
  for (const size of sizes) {
    fixture.role = view.role
    fixture.empty = false
    fixture.alarms = false
    fixture.console = false
    atConsole.console = { askedAt: null, ready: null }
    for (const item of consoles) item.ready = null
    view.before?.(fixture)
    const context: BrowserContext = await browser.newContext({
      viewport: { width: size.width, height: size.height },
      colorScheme: size.scheme,
      timezoneId: view.zone ?? 'Europe/Berlin',
      deviceScaleFactor: size.width < 500 ? 2 : 1,
      reducedMotion: 'reduce',
      hasTouch: size.width < 500,
    })
    const page = await context.newPage()
    page.on('console', (message) => {
      if (message.type() === 'error' || message.type() === 'warning')
        process.stdout.write(`  console ${view.name} ${size.name}: ${message.text()}\n`)
    })
    page.on('pageerror', (error) => process.stdout.write(`  error ${view.name}: ${error.message}\n`))
    try {
      await page.goto(fixture.url + view.path)
      await page
        .locator(view.wait ?? 'h1')
        .first()
        .waitFor({ timeout: 8000 })
      await page.waitForTimeout(350)
      await view.act?.(page, fixture)
      const full =
        !/^(session|watch)/.test(view.name) || view.name === 'session-page' || view.name === 'sessions'
      await page.screenshot({ path: `${out}/${view.name}-${size.name}.png`, fullPage: full })
      const wide = await page.evaluate('document.documentElement.scrollWidth - window.innerWidth')
      if (Number(wide) > 0)
        process.stdout.write(`  wider than the screen by ${wide}: ${view.name} ${size.name}\n`)
      for (const violation of await check(page)) {
        problems++
        process.stdout.write(
          `${view.name} ${size.name}: ${violation.impact} ${violation.id}: ${violation.help}\n    ${violation.nodes
            .slice(0, 3)
            .map(
              (node) =>
                `${node.target.join(' ')} | ${node.failureSummary.split('\n')[1]?.trim().slice(0, 160)}`,
            )
            .join('\n    ')}\n`,
        )
      }
    } catch (error) {
      problems++
      process.stdout.write(
        `${view.name} ${size.name}: ${error instanceof Error ? error.message.split('\n')[0] : 'failed'}\n`,
      )
      await page.screenshot({ path: `${out}/${view.name}-${size.name}.png` })
    }
    await context.close()
  }
}
process.stdout.write(`${problems} problems\n`)
await browser.close()
await fixture.close()
