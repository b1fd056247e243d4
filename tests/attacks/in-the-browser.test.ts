import { chmod, mkdtemp, rm, writeFile } from 'node:fs/promises'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import type { Page } from 'playwright-core'
import { afterAll, beforeAll, describe, expect, it } from 'vitest'
import { builtPages } from '../lab/built-pages.ts'
import { type LabBrowser, openChromium } from '../lab/chromium.ts'
import { missingTools } from '../lab/lab.ts'
import { type LabSshd, opensshMissing, startOpenssh } from '../lab/openssh.ts'
import { openSession, setUpInBrowser, shown, typeLine } from '../lab/page-actions.ts'
import { type LabPlant, startPlant } from '../lab/plant.ts'
import { until } from '../lab/until.ts'
import { HOSTILE_CAST } from './hostile-cast.ts'

const missing = opensshMissing() ?? (missingTools('chromium', 'nss-tools').join(', ') || null)
const MARK = 'Plain-words'
/** In every field: mark-up that runs, and mark-up that would only show that it was taken for mark-up. */
const SCRIPT = `${MARK} "><img src=x data-attack onerror=window.attacked=1><b data-attack>`

/** A real Chromium on the built pages: a machine that writes at it, and people whose words are scripts. */
describe.skipIf(missing !== null)(`in the browser${missing ? ` (skipped: ${missing})` : ''}`, () => {
  let plant: LabPlant
  let sshd: LabSshd
  let browser: LabBrowser
  let pages: Awaited<ReturnType<typeof builtPages>>
  let vendor: Page
  let office: Page
  let folder: string
  let requestId: string
  let assetId: string
  let personId: string
  let sessionId = ''
  let recordingId = ''
  /** What no page of ours asks for by itself. */
  const odd: string[] = []

  const watch = (page: Page) => {
    page.on('dialog', (dialog) => {
      odd.push(`dialog: ${dialog.message()}`)
      void dialog.dismiss()
    })
    page.on('popup', (popup) => odd.push(`popup: ${popup.url()}`))
    page.on('download', (download) => odd.push(`download: ${download.suggestedFilename()}`))
    page.on('request', (request) => {
      const url = new URL(request.url())
      if (/^https?:$/.test(url.protocol) && url.origin !== plant.origin) odd.push(`request: ${request.url()}`)
    })
  }
  /** What a page shows of attacks that worked. */
  const harmed = (page: Page) =>
    page.evaluate(() => ({
      ran: 'attacked' in window,
      taken: document.querySelectorAll('[data-attack]').length,
      links: [...document.querySelectorAll('a')].filter(({ protocol }) => protocol === 'javascript:').length,
    }))
  const UNHARMED = { ran: false, taken: 0, links: 0 }

  beforeAll(async () => {
    pages = await builtPages()
    sshd = await startOpenssh()
    folder = await mkdtemp(join(tmpdir(), 'sallyport-corpus-'))
    const generous = { burst: 100_000, perSecond: 1_000 }
    plant = await startPlant({
      webDir: pages.folder,
      names: {
        deployment: SCRIPT,
        site: SCRIPT,
        timeZone: 'Europe/Vienna',
        zone: SCRIPT,
        vendor: SCRIPT,
      },
      broker: { limits: { address: generous, person: generous, signIn: generous, urgent: generous } },
    })
    browser = await openChromium({ hosts: [plant.host], ca: plant.ca })
    const asset = await plant.asset({
      name: SCRIPT,
      criticality: 'C4',
      target: { port: sshd.port, user: sshd.user, password: sshd.password },
      about: { description: SCRIPT, owner: SCRIPT, hazard: SCRIPT },
    })
    assetId = asset.assetId
    await plant.admin.call('PATCH /api/sites/:id', { params: { id: plant.siteId }, body: { notice: SCRIPT } })
    await plant.ticket('CHG-1042', [SCRIPT], { title: SCRIPT })
    const people = async (roles: Parameters<LabPlant['invite']>[1], ofVendor: boolean) => {
      const page = await browser.person()
      watch(page)
      const { link, id } = await plant.invite(SCRIPT, roles, ofVendor)
      await setUpInBrowser(page, link)
      await plant.confirmPasskeys(id)
      return { page, id }
    }
    const manager = (await plant.person('Max Huber', ['approver'])).client
    const one = await people(['vendor'], true)
    vendor = one.page
    personId = one.id
    office = (await people(['approver', 'operator', 'auditor', 'administrator'], false)).page
    // By the API, so that the form's own niceties clean nothing up.
    requestId = await vendor.evaluate(
      async ([endpointId, account, purpose]) => {
        const { csrf } = (await (await fetch('/api/me')).json()) as { csrf: string }
        const answer = await fetch('/api/requests', {
          method: 'POST',
          headers: { 'content-type': 'application/json', 'x-csrf-token': csrf },
          body: JSON.stringify({
            endpointId,
            account,
            features: [],
            purpose,
            ticket: { system: 'file', key: 'CHG-1042' },
            window: {
              opensAt: new Date(Date.now() - 60_000).toISOString(),
              closesAt: new Date(Date.now() + 3_600_000).toISOString(),
            },
          }),
        })
        return ((await answer.json()) as { id: string }).id
      },
      [asset.endpointId, sshd.user, SCRIPT] as const,
    )
    await manager.decide(requestId, 'granted')
  })
  afterAll(async () => {
    await browser?.close()
    await plant?.stop()
    await sshd?.stop()
    await pages?.remove()
    await rm(folder, { recursive: true, force: true })
  })

  /** Threat 21: escape sequences on replay, and before it where they are shown live. */
  describe('21-hostile-cast', () => {
    it('live: links are dead, titles and the clipboard are left alone', async () => {
      await vendor.context().grantPermissions(['clipboard-read', 'clipboard-write'], { origin: plant.origin })
      await office.context().grantPermissions(['clipboard-read', 'clipboard-write'], { origin: plant.origin })
      const corpus = join(folder, 'corpus')
      await writeFile(corpus, HOSTILE_CAST, { mode: 0o644 })
      await writeFile(join(folder, 'links'), '\x1b]8;;https://evil.example/\x1b\\DEAD-LINK\x1b]8;;\x1b\\\r\n')
      await chmod(folder, 0o755)
      sessionId = await openSession(vendor, requestId)
      await shown(vendor, '$')
      await vendor.evaluate(() => navigator.clipboard.writeText('mine'))
      const title = await vendor.title()
      await typeLine(vendor, `cat ${corpus}; sleep 0.2; cat ${join(folder, 'links')}`)
      await shown(vendor, 'DEAD-LINK')
      expect(await vendor.title()).toBe(title)
      expect(await vendor.evaluate(() => navigator.clipboard.readText())).toBe('mine')
      const box = await vendor
        .locator('.xterm-rows > div')
        .filter({ hasText: 'DEAD-LINK' })
        .last()
        .boundingBox()
      if (!box) throw new Error('the link is not on the screen')
      for (const modifiers of [[], ['Control'], ['Meta']] as const) {
        for (const key of modifiers) await vendor.keyboard.down(key)
        await vendor.mouse.move(box.x + 20, box.y + box.height / 2)
        await vendor.mouse.click(box.x + 30, box.y + box.height / 2)
        for (const key of modifiers) await vendor.keyboard.up(key)
      }
      expect(await harmed(vendor)).toEqual(UNHARMED)
      expect(odd).toEqual([])
      await vendor.getByRole('button', { name: 'End session' }).click()
      await vendor.getByRole('button', { name: 'End it now' }).click()
      await vendor.getByLabel('What was changed').waitFor()
    })

    it('replayed: the player shows it and does nothing', async () => {
      const view = async () =>
        (await office.evaluate(async (id) => (await fetch(`/api/sessions/${id}`)).json(), sessionId)) as {
          recording: string
          recordingId: string
        }
      await until(async () => (await view()).recording === 'complete', 'the recording is complete', 20_000)
      recordingId = (await view()).recordingId
      const sent: string[] = []
      office.on('request', (request) => {
        if (request.method() !== 'GET') sent.push(`${request.method()} ${request.url()}`)
      })
      await office.goto(`${plant.origin}/recordings/${recordingId}`)
      await office.evaluate(() => navigator.clipboard.writeText('mine'))
      const line = office.locator('.text-line').filter({ hasText: 'END-OF-CORPUS' }).first()
      await line.waitFor()
      const title = await office.title()
      await line.click()
      await office.locator('.stage').filter({ hasText: 'END-OF-CORPUS' }).waitFor()
      expect(await office.title()).toBe(title)
      expect(await office.evaluate(() => navigator.clipboard.readText())).toBe('mine')
      expect(await office.locator('.stage a').count()).toBe(0)
      expect(await harmed(office)).toEqual(UNHARMED)
      expect(sent).toEqual([])
      expect(odd).toEqual([])
    })
  })

  /** Threat 22: script in names and titles. */
  describe('22-script-in-names', () => {
    it('every page shows the words of every field as words', async () => {
      const seen = new Map<string, boolean>()
      const visit = async (page: Page, path: string) => {
        await page.goto(plant.origin + path)
        await page.getByRole('main').waitFor()
        await page
          .waitForFunction((mark) => document.body.textContent.includes(mark), MARK, { timeout: 2_000 })
          .catch(() => undefined)
        seen.set(path, (await page.locator('body').textContent())?.includes('data-attack') === true)
        expect(await harmed(page), path).toEqual(UNHARMED)
      }
      for (const path of [
        '/work',
        '/requests/new',
        `/requests/${requestId}`,
        `/requests/${requestId}/open`,
        '/account',
      ])
        await visit(vendor, path)
      for (const path of [
        '/decide',
        `/decide/${requestId}`,
        '/history',
        '/inside',
        '/assets',
        '/sessions',
        `/sessions/${sessionId}`,
        `/recordings/${recordingId}`,
        '/integrity',
        '/audit',
        '/account',
        '/admin/sites',
        '/admin/assets',
        `/admin/assets/${assetId}`,
        '/admin/people',
        `/admin/people/${personId}`,
        '/admin/tickets',
        '/admin/rules',
        '/admin/gateways',
      ])
        await visit(office, path)
      expect(odd).toEqual([])
      // It was there to be taken for mark-up.
      expect([...seen].filter(([, there]) => there).length).toBeGreaterThan(12)
    })

    it('and if a page did write it as mark-up, the policy lets nothing of it run', async () => {
      await office.goto(`${plant.origin}/account`)
      await office.getByRole('main').waitFor()
      // The browser tells what it refused: an event handler, a script in the page, one by address, one in a frame.
      const refused = await office.evaluate(
        (html) =>
          new Promise<number>((resolve) => {
            let count = 0
            const give = setTimeout(() => resolve(count), 10_000)
            document.addEventListener('securitypolicyviolation', () => {
              count += 1
              if (count < 4) return
              clearTimeout(give)
              resolve(count)
            })
            document.body.insertAdjacentHTML('beforeend', html)
            const script = document.createElement('script')
            script.textContent = 'window.attacked = 1'
            const remote = document.createElement('script')
            remote.src = 'data:text/javascript,window.attacked=1'
            const frame = document.createElement('iframe')
            frame.src = 'https://evil.example/'
            document.body.append(script, remote, frame)
          }),
        SCRIPT,
      )
      expect(refused).toBe(4)
      expect((await harmed(office)).ran).toBe(false)
      expect(await office.evaluate(() => document.querySelectorAll('img[data-attack]').length)).toBe(1)
      for (const path of ['/', '/account', '/api/me', '/no-such-page']) {
        const answer = await plant.client().fetch('GET', path)
        const policy = String(answer.headers['content-security-policy'])
        expect(policy, path).toMatch(/default-src 'none'/)
        expect(policy, path).not.toMatch(/script-src[^;]*('unsafe-inline'|'unsafe-eval'|data:|blob:|\*)/)
      }
    })
  })
})
