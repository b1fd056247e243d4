import { execFile } from 'node:child_process'
import { mkdir, mkdtemp, rm, writeFile } from 'node:fs/promises'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { promisify } from 'node:util'
import { type BrowserContext, type CDPSession, chromium, type Page } from 'playwright-core'

const run = promisify(execFile)

export interface LabBrowser {
  context: BrowserContext
  page(): Promise<Page>
  close(): Promise<void>
}

/** 390 px is the phone of web.md; 1440 px a desk. */
export const PHONE = { width: 390, height: 844 }
export const DESK = { width: 1440, height: 900 }

/**
 * A fresh real Chromium that resolves the plant's public name to this machine and trusts the site's CA as a person
 * would have installed it (an NSS database of its own home). No certificate error is ignored anywhere.
 */
export async function openChromium(options: {
  hosts: readonly string[]
  ca: string | null
  viewport?: { width: number; height: number }
  colorScheme?: 'light' | 'dark'
}): Promise<LabBrowser> {
  const home = await mkdtemp(join(tmpdir(), 'sallyport-chromium-'))
  if (options.ca !== null) {
    const database = `sql:${join(home, '.pki', 'nssdb')}`
    await mkdir(join(home, '.pki', 'nssdb'), { recursive: true })
    await writeFile(join(home, 'ca.pem'), options.ca)
    await run('/usr/bin/certutil', ['-d', database, '-N', '--empty-password'])
    await run('/usr/bin/certutil', [
      '-d',
      database,
      '-A',
      '-t',
      'C,,',
      '-n',
      'site',
      '-i',
      join(home, 'ca.pem'),
    ])
  }
  const context = await chromium.launchPersistentContext(join(home, 'profile'), {
    executablePath: '/usr/bin/chromium',
    headless: true,
    viewport: options.viewport ?? DESK,
    colorScheme: options.colorScheme ?? 'light',
    hasTouch: (options.viewport?.width ?? DESK.width) < 600,
    acceptDownloads: true,
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
  return {
    context,
    page: async () => context.pages()[0] ?? context.newPage(),
    async close() {
      await context.close()
      await rm(home, { recursive: true, force: true })
    },
  }
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
