import { execFile } from 'node:child_process'
import { mkdir, mkdtemp, rm, writeFile } from 'node:fs/promises'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { promisify } from 'node:util'
import { type Browser, type BrowserContext, type CDPSession, chromium, type Page } from 'playwright-core'

const run = promisify(execFile)

export interface LabPersonOptions {
  viewport?: { width: number; height: number }
  colorScheme?: 'light' | 'dark'
  /** IANA name; where this person's clock is. */
  timeZone?: string
  /** Pixels per CSS pixel. */
  scale?: number
}

export interface LabBrowser {
  /** Of the first person. */
  context: BrowserContext
  page(): Promise<Page>
  /** Somebody else in the same Chromium: cookies, storage and size of their own. */
  person(options?: LabPersonOptions): Promise<Page>
  close(): Promise<void>
}

/** 390 px is the phone of web.md; 1440 px a desk. */
export const PHONE = { width: 390, height: 844 }
export const DESK = { width: 1440, height: 900 }
/** Of every wait in a browser: tells a hang from a slow machine, on which opening a session took half a minute. */
export const DEADLINE_MS = 60_000

/**
 * A fresh real Chromium that resolves the plant's public name to this machine and trusts the site's CA as a person
 * would have installed it (an NSS database of its own home). No certificate error is ignored anywhere.
 */
export async function openChromium(
  options: LabPersonOptions & { hosts: readonly string[]; ca: string | null | readonly (string | null)[] },
): Promise<LabBrowser> {
  const home = await mkdtemp(join(tmpdir(), 'sallyport-chromium-'))
  await trust(
    home,
    [options.ca].flat().filter((ca) => ca !== null),
  )
  const browser = await chromium.launch({
    executablePath: '/usr/bin/chromium',
    headless: true,
    env: { ...process.env, HOME: home } as Record<string, string>,
    args: [
      '--no-sandbox',
      '--disable-gpu',
      '--disable-quic',
      '--no-first-run',
      '--disable-background-networking',
      '--disable-component-update',
      '--disable-sync',
      `--host-resolver-rules=${options.hosts.map((host) => `MAP ${host} 127.0.0.1`).join(',')}`,
    ],
  })
  const context = await contextFor(browser, options)
  return {
    context,
    page: async () => context.pages()[0] ?? context.newPage(),
    person: async (who = {}) => (await contextFor(browser, who)).newPage(),
    async close() {
      await browser.close()
      await rm(home, { recursive: true, force: true, maxRetries: 5, retryDelay: 100 })
    },
  }
}

async function trust(home: string, authorities: readonly string[]): Promise<void> {
  if (authorities.length === 0) return
  const folder = join(home, '.pki', 'nssdb')
  const database = `sql:${folder}`
  await mkdir(folder, { recursive: true })
  await run('/usr/bin/certutil', ['-d', database, '-N', '--empty-password'])
  for (const [place, ca] of authorities.entries()) {
    const file = join(home, `ca-${place}.pem`)
    await writeFile(file, ca)
    await run('/usr/bin/certutil', ['-d', database, '-A', '-t', 'C,,', '-n', `site ${place}`, '-i', file])
  }
}

async function contextFor(browser: Browser, options: LabPersonOptions): Promise<BrowserContext> {
  const viewport = options.viewport ?? DESK
  const context = await browser.newContext({
    viewport,
    colorScheme: options.colorScheme ?? 'light',
    hasTouch: viewport.width < 600,
    acceptDownloads: true,
    ...(options.timeZone ? { timezoneId: options.timeZone } : {}),
    ...(options.scale ? { deviceScaleFactor: options.scale } : {}),
  })
  context.setDefaultTimeout(DEADLINE_MS)
  return context
}

/** A virtual passkey (internal, resident keys, user verified) behind the real WebAuthn of this page's browser. */
export async function addPasskey(page: Page): Promise<CDPSession> {
  const session = await page.context().newCDPSession(page)
  await session.send('WebAuthn.enable')
  await session.send('WebAuthn.addVirtualAuthenticator', {
    options: {
      protocol: 'ctap2',
      transport: 'internal',
      hasResidentKey: true,
      hasUserVerification: true,
      isUserVerified: true,
      automaticPresenceSimulation: true,
    },
  })
  return session
}
