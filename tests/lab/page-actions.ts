import type { Locator, Page } from 'playwright-core'
import { addPasskey, DEADLINE_MS } from './chromium.ts'

/** What people do on the pages, one function a deed, so that journeys and attacks walk the same way. */

/** Redeems a one-time set-up link with a virtual passkey; the person is signed in afterwards. */
export async function setUpInBrowser(page: Page, link: string): Promise<void> {
  await addPasskey(page)
  await page.goto(link)
  await page.getByRole('button', { name: 'Create passkey' }).click()
  await page.waitForURL((url) => url.pathname !== '/set-up')
  await page.getByRole('main').waitFor()
}

/** Fills the request form (the only asset and its only ticket fill themselves in) and sends it. Returns its id. */
export async function askForAccess(page: Page, purpose: string): Promise<string> {
  await page.goto(new URL('/requests/new', page.url()).href)
  await page.getByLabel('Purpose').fill(purpose)
  await page.getByRole('button', { name: 'Ask for access' }).click()
  await page.waitForURL(/\/requests\/[0-9a-f-]{36}$/)
  return new URL(page.url()).pathname.split('/')[2] ?? ''
}

/** Opens the decision card of a purpose and signs the approval. */
export async function approve(page: Page, purpose: string): Promise<void> {
  await page.goto(new URL('/decide', page.url()).href)
  await page.getByRole('link', { name: purpose }).click()
  await page.getByRole('button', { name: 'Approve with passkey' }).click()
  await refusedOr(page, page.getByRole('dialog').getByRole('button', { name: 'Approve with passkey' }))
  await page.getByRole('dialog').getByRole('button', { name: 'Approve with passkey' }).click()
  await refusedOr(page, page.getByText('What happens next.'))
}

/** Waits for what should come; a refusal that the page shows instead is the failure's message. */
async function refusedOr(page: Page, expected: Locator): Promise<void> {
  const refusal = page.getByRole('alert').filter({ hasText: /./ })
  await expected.or(refusal).first().waitFor()
  if (!(await expected.isVisible())) throw new Error(`refused: ${await refusal.first().innerText()}`)
}

/** Accepts the notice and opens the session of an approved request; a step-up that is asked for is made. */
export async function openSession(page: Page, requestId: string): Promise<string> {
  await page.goto(new URL(`/requests/${requestId}/open`, page.url()).href)
  await page.getByLabel('I have read this and accept it').check()
  await page.getByRole('button', { name: 'Open session' }).click()
  const stepUp = page.getByRole('button', { name: 'Confirm with passkey' })
  const inside = page.locator('.xterm-rows, .screen-place canvas').first()
  await stepUp.or(inside).first().waitFor()
  if (await stepUp.isVisible()) await stepUp.click()
  await inside.waitFor()
  await page.waitForURL(/\/sessions\/[0-9a-f-]{36}\/live$/)
  return new URL(page.url()).pathname.split('/')[2] ?? ''
}

/** What the terminal shows now, lines joined by newlines. */
export function screenText(page: Page): Promise<string> {
  return page.evaluate(() =>
    [...document.querySelectorAll('.xterm-rows > div')].map((row) => row.textContent ?? '').join('\n'),
  )
}

/** Waits until the terminal shows the text. */
export async function shown(page: Page, text: string | RegExp, withinMs = DEADLINE_MS): Promise<void> {
  await page
    .locator('.xterm-rows')
    .filter({ hasText: text })
    .waitFor({ timeout: withinMs })
    .catch(async () => {
      throw new Error(`the terminal does not show ${String(text)}:\n${(await screenText(page)).trimEnd()}`)
    })
}

/** Types a line into the terminal as a person does, and Enter. */
export async function typeLine(page: Page, line: string): Promise<void> {
  await page.locator('.xterm-helper-textarea').focus()
  await page.keyboard.type(line)
  await page.keyboard.press('Enter')
}

/** What the desktop on the page shows: RGBA rows of the whole of it, whatever its scale. Null before its first picture. */
export async function desktopPicture(
  page: Page,
  where = '.screen-place canvas:not(.desktop-kept)',
): Promise<{ width: number; height: number; pixels: Uint8Array } | null> {
  const shown = await page.evaluate((selector) => {
    const canvas = document.querySelector<HTMLCanvasElement>(selector)
    if (!canvas || canvas.width === 0 || canvas.height === 0) return null
    const { width, height } = canvas
    const pixels = canvas.getContext('2d')?.getImageData(0, 0, width, height).data ?? new Uint8ClampedArray(0)
    let text = ''
    for (let at = 0; at < pixels.length; at += 0x8000)
      text += String.fromCharCode(...pixels.subarray(at, at + 0x8000))
    return { width, height, pixels: btoa(text) }
  }, where)
  return shown && { ...shown, pixels: Buffer.from(shown.pixels, 'base64') }
}

/** Where a pixel of the desktop lies on the page. */
export async function desktopPoint(page: Page, x: number, y: number): Promise<{ x: number; y: number }> {
  return await page.evaluate(
    ([left, top]) => {
      const canvas = document.querySelector<HTMLCanvasElement>('.screen-place canvas:not(.desktop-kept)')
      const box = canvas?.getBoundingClientRect()
      if (!canvas || !box) throw new Error('there is no desktop on this page')
      return {
        x: box.x + (left * box.width) / canvas.width,
        y: box.y + (top * box.height) / canvas.height,
      }
    },
    [x, y] as const,
  )
}
