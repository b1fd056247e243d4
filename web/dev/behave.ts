import assert from 'node:assert/strict'
import { dirname, resolve } from 'node:path'
import { fileURLToPath } from 'node:url'
import { chromium, type Page } from 'playwright-core'
import { liveSessionId, past, requests } from './plant.ts'
import { type Fixture, startFixture } from './server.ts'

/** Walks through what the pages do, in Chromium with a virtual authenticator. Usage: node web/dev/behave.ts */
const root = resolve(dirname(fileURLToPath(import.meta.url)), '../..')
const fixture = await startFixture(resolve(root, 'dist/web'))
const browser = await chromium.launch({
  executablePath: '/usr/bin/chromium',
  args: ['--headless', '--no-sandbox', '--disable-gpu', '--no-first-run', '--disable-background-networking'],
})

async function open(path: string): Promise<Page> {
  const context = await browser.newContext({
    viewport: { width: 1280, height: 800 },
    timezoneId: 'Europe/Berlin',
  })
  await context.grantPermissions(['clipboard-read', 'clipboard-write'])
  const page = await context.newPage()
  page.on('pageerror', (error) => assert.fail(`page error: ${error.message}`))
  page.on('console', (message) => {
    if (/Content Security Policy/.test(message.text())) assert.fail(message.text())
  })
  const cdp = await context.newCDPSession(page)
  await cdp.send('WebAuthn.enable')
  await cdp.send('WebAuthn.addVirtualAuthenticator', {
    options: {
      protocol: 'ctap2',
      transport: 'internal',
      hasResidentKey: true,
      hasUserVerification: true,
      isUserVerified: true,
      automaticPresenceSimulation: true,
    },
  })
  await page.goto(fixture.url + path)
  return page
}

const steps: Record<string, (fixture: Fixture) => Promise<void>> = {
  'a seek reads one segment, and hostile bytes do nothing': async () => {
    fixture.role = 'auditor'
    fixture.segments.length = 0
    const page = await open(`/recordings/${past[1]?.recordingId}?t=200`)
    await page.locator('.ap-term').waitFor()
    await page.getByText('click me').first().waitFor()
    assert.deepEqual(fixture.segments, [2])
    const slider = page.getByRole('slider', { name: 'Place in the recording' })
    await slider.focus()
    await page.keyboard.press('Home')
    await page.waitForFunction(
      "document.querySelector('[role=slider]').getAttribute('aria-valuenow') === '0'",
    )
    await page.waitForTimeout(200)
    assert.deepEqual(fixture.segments, [2, 0])
    await page.keyboard.press('End')
    await page.waitForTimeout(300)
    assert.deepEqual(fixture.segments, [2, 0, 3])
    assert.match(await page.title(), /Press 2, PLC/)
    assert.equal(await page.locator('.stage a, .stage img, .stage iframe, .stage script').count(), 0)
    assert.notEqual(await page.evaluate('navigator.clipboard.readText()'), 'pwned')
    await page.keyboard.press('Home')
    await page.getByRole('button', { name: 'Play' }).click()
    await page.keyboard.press('+')
    await page.getByText('2x').waitFor()
    await page.context().close()
  },
  'a session types, survives a lost line, refuses what was not approved, and ends with a note': async () => {
    fixture.role = 'vendor'
    const page = await open(`/sessions/${liveSessionId}/live`)
    await page.locator('.xterm-rows').getByText('drivectl status').waitFor()
    await page.keyboard.type('uptime')
    await page.locator('.xterm-rows').getByText('uptime').waitFor()
    fixture.drop()
    await page.getByText('Connection lost.').waitFor()
    await page.getByText('Connection lost.').waitFor({ state: 'detached' })
    await page.locator('.xterm-rows').getByText('drivectl status').waitFor()
    await page.evaluate("navigator.clipboard.writeText('one\\ntwo')")
    await page.locator('.xterm-helper-textarea').focus()
    await page.keyboard.press('Control+Shift+V')
    await page.getByText('Paste 2 lines?').waitFor()
    await page.getByRole('button', { name: 'Do not paste' }).click()
    await page.evaluate(
      "document.querySelector('.screen-place').dispatchEvent(new ClipboardEvent('copy', { bubbles: true, cancelable: true }))",
    )
    await page.getByText('Copying out of this session was not approved.').waitFor()
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
    await page.getByText('Input is frozen by Jonas Vogel.').waitFor()
    await page.locator('.xterm-helper-textarea').focus()
    await page.keyboard.type('zzz')
    await page.waitForTimeout(200)
    assert.equal(await page.locator('.xterm-rows').getByText('zzz').count(), 0)
    await page.getByRole('button', { name: 'End session' }).click()
    await page.getByRole('button', { name: 'End it now' }).click()
    await page.getByLabel('What was changed').fill('Nothing changed, logs read')
    await page.getByRole('button', { name: 'Hand in' }).click()
    await page.getByText('Handed in.').waitFor()
    await page.context().close()
  },
  'opening a session asks for the notice, then for a fresh sign-in': async () => {
    fixture.role = 'vendor'
    const page = await open('/account')
    await addPasskey(page)
    await page.goto(`${fixture.url}/requests/${requests[1]?.id}/open`)
    fixture.stepUp = true
    const button = page.getByRole('button', { name: 'Open session' })
    assert.equal(await button.isDisabled(), true)
    await page.getByLabel('I have read this and accept it').check()
    await button.click()
    await page.getByText('Confirm that it is you').first().waitFor()
    await page.getByRole('button', { name: 'Confirm with passkey' }).click()
    await page.waitForURL(/\/sessions\/.*\/live/)
    await page.locator('.xterm-rows').getByText('drivectl status').waitFor()
    await page.context().close()
  },
  'an approval is signed with a passkey, over the document that is shown': async () => {
    fixture.role = 'approver'
    const page = await open('/account')
    await addPasskey(page)
    const waiting = requests.find((request) => request.state === 'waiting')
    await page.goto(`${fixture.url}/decide/${waiting?.id}`)
    await page.getByRole('button', { name: 'Narrow' }).click()
    await page.getByLabel('View only: nothing can be typed').check()
    await page.getByRole('button', { name: 'Keep this' }).click()
    await page.getByRole('button', { name: 'Approve with passkey' }).click()
    const dialog = page.getByRole('dialog', { name: 'You sign this' })
    await dialog.getByText('None: view only').waitFor()
    await dialog.getByRole('button', { name: 'Approve with passkey' }).click()
    await page.getByText('What happens next.').waitFor()
    await page.context().close()
  },
  'stop is held for a second, says how fast, and asks for the reason after': async () => {
    fixture.role = 'operator'
    const page = await open('/inside')
    const stop = page.getByRole('button', { name: 'Stop' }).first()
    await stop.click()
    await page.waitForTimeout(300)
    assert.equal(await page.getByText('Stopped.').count(), 0)
    await stop.focus()
    await page.keyboard.down('Enter')
    await page.getByText('Stopped.').waitFor()
    await page.keyboard.up('Enter')
    await page.getByText('0.41 s').waitFor()
    await page.getByLabel('Why did you stop it?').fill('Wrong machine')
    await page.getByRole('button', { name: 'Keep reason' }).click()
    await page.getByText('Reason kept with the session.').waitFor()
    await page.context().close()
  },
  'the window is moved by keyboard and stays inside the planned time': async () => {
    fixture.role = 'vendor'
    const page = await open('/requests/new')
    await page.getByRole('button', { name: /Engineering station/ }).click()
    const edge = page.getByRole('slider', { name: 'Window opens' })
    await edge.waitFor()
    const before = await edge.getAttribute('aria-valuenow')
    await edge.focus()
    await page.keyboard.press('ArrowRight')
    assert.notEqual(await edge.getAttribute('aria-valuenow'), before)
    for (let press = 0; press < 30; press++) await page.keyboard.press('PageDown')
    assert.equal(await page.getByText("inside the ticket's planned time").count(), 0)
    await page.context().close()
  },
  'a skip link, the menus and a lost sign-in work': async () => {
    fixture.role = 'auditor'
    const page = await open('/sessions?search=x')
    await page.getByRole('heading', { name: 'Sessions' }).waitFor()
    await page.getByRole('button', { name: /account and appearance/ }).click()
    await page.getByRole('button', { name: 'Dark' }).click()
    assert.equal(await page.locator('html').getAttribute('data-mantine-color-scheme'), 'dark')
    fixture.signedIn = false
    await page.reload()
    await page.waitForURL(/\/sign-in\?returnTo=%2Fsessions%3Fsearch%3Dx/)
    fixture.signedIn = true
    await page.context().close()
  },
}

async function addPasskey(page: Page): Promise<void> {
  await page.getByRole('button', { name: 'Add a passkey' }).click()
  await page.getByRole('dialog').getByLabel('Name').fill('Test key')
  await page.getByRole('button', { name: 'Create passkey' }).click()
  await page.getByRole('dialog').waitFor({ state: 'detached' })
}

let failed = 0
for (const [name, step] of Object.entries(steps)) {
  if (process.argv[2] && !name.includes(process.argv[2])) continue
  try {
    await step(fixture)
    process.stdout.write(`ok    ${name}\n`)
  } catch (error) {
    failed++
    process.stdout.write(
      `FAIL  ${name}\n      ${error instanceof Error ? error.message.split('\n').slice(0, 6).join('\n      ') : error}\n`,
    )
  }
}
await browser.close()
await fixture.close()
process.exitCode = failed ? 1 : 0
