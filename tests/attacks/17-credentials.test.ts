import type { Page } from 'playwright-core'
import { afterAll, beforeAll, describe, expect, it } from 'vitest'
import { builtPages } from '../lab/built-pages.ts'
import { captureAll, findSecrets, type Received } from '../lab/capture.ts'
import { type LabBrowser, openChromium, PHONE } from '../lab/chromium.ts'
import { missingTools } from '../lab/lab.ts'
import { type LabSshd, opensshMissing, startOpenssh } from '../lab/openssh.ts'
import { approve, askForAccess, openSession, setUpInBrowser, shown, typeLine } from '../lab/page-actions.ts'
import { type LabPlant, startPlant } from '../lab/plant.ts'

const missing = opensshMissing() ?? (missingTools('chromium', 'nss-tools').join(', ') || null)
/** An address that no other part of the lab has. */
const ADDRESS = '127.77.0.4'

/**
 * Threat 17: credentials leak to the browser. Everything that the browsers of a whole visit receive is kept and
 * searched for the credential, in several spellings, and for the asset's address. The address may stand in what the
 * target itself sent (the screen, live or replayed), nowhere else.
 */
describe.skipIf(missing !== null)(`17: credentials${missing ? ` (skipped: ${missing})` : ''}`, () => {
  let plant: LabPlant
  let sshd: LabSshd
  let browser: LabBrowser
  let pages: Awaited<ReturnType<typeof builtPages>>
  const captures: Awaited<ReturnType<typeof captureAll>>[] = []
  const received = async (): Promise<Received[]> => {
    await Promise.all(captures.map((capture) => capture.settled()))
    return captures.flatMap((capture) => capture.received)
  }
  let requestId = ''
  const people: Record<string, Page> = {}
  const page = (who: string): Page => {
    const found = people[who]
    if (!found) throw new Error(`${who} has no page`)
    return found
  }

  beforeAll(async () => {
    pages = await builtPages()
    sshd = await startOpenssh({ extra: [`ListenAddress ${ADDRESS}`] })
    plant = await startPlant({ webDir: pages.folder })
    browser = await openChromium({ hosts: [plant.host], ca: plant.ca })
    await plant.asset({
      name: 'Robot cell 4',
      criticality: 'C3',
      target: { address: ADDRESS, port: sshd.port, user: sshd.user, password: sshd.password },
    })
    await plant.ticket('CHG-1042', ['Robot cell 4'])
    for (const [who, name, role] of [
      ['vendor', 'Vera Kowalski', 'vendor'],
      ['manager', 'Max Huber', 'approver'],
      ['operator', 'Oleg Brandt', 'operator'],
      ['auditor', 'Anna Weiss', 'auditor'],
    ] as const) {
      const person = await browser.person(who === 'manager' ? { viewport: PHONE } : {})
      people[who] = person
      captures.push(await captureAll(person))
      const { link, id } = await plant.invite(name, [role], role === 'vendor')
      await setUpInBrowser(person, link)
      await plant.confirmPasskeys(id)
    }
    await page('manager').reload()
  })
  afterAll(async () => {
    await browser?.close()
    await plant?.stop()
    await sshd?.stop()
    await pages?.remove()
  })

  it('a whole visit shows no browser the credential, nor the address but from the target', async () => {
    const vendor = page('vendor')
    const purpose = 'Replace the gripper program'
    requestId = await askForAccess(vendor, purpose)
    await approve(page('manager'), purpose)
    await openSession(vendor, requestId)
    await shown(vendor, '$')
    const operator = page('operator')
    for (const path of ['/assets', '/inside']) {
      await operator.goto(plant.origin + path)
      await operator.getByText('Robot cell 4').first().waitFor()
    }
    await operator.getByRole('link', { name: 'Watch' }).click()
    await shown(operator, '$')
    // What the target says is the target's: here it tells its own address.
    await typeLine(vendor, 'echo I am at $SSH_CONNECTION')
    await shown(vendor, ADDRESS)
    await shown(operator, ADDRESS)
    await vendor.getByRole('button', { name: 'End session' }).click()
    await vendor.getByRole('button', { name: 'End it now' }).click()
    await vendor.getByLabel('What was changed').waitFor()

    const auditor = page('auditor')
    await auditor.goto(`${plant.origin}/sessions`)
    const row = auditor.getByRole('row').filter({ hasText: 'CHG-1042' })
    await row.getByText('Complete').waitFor()
    await row.getByRole('link', { name: 'Robot cell 4', exact: true }).click()
    await auditor.getByText('What the log says').waitFor()
    await auditor.goBack()
    await row.getByRole('link', { name: /^Play/ }).click()
    await auditor.locator('.text-line').filter({ hasText: ADDRESS }).first().waitFor()
    await auditor.getByRole('button', { name: 'Verify now' }).click()
    await auditor.getByText('Verified', { exact: true }).waitFor()
    for (const path of ['/audit', '/integrity']) {
      await auditor.goto(plant.origin + path)
      await auditor.getByRole('heading', { level: 1 }).waitFor()
      await auditor.waitForLoadState('networkidle').catch(() => undefined)
    }

    const all = await received()
    // The capture sees: every kind of thing, and the address where the target sent it.
    const screens = all.filter(({ kind, binary }) => kind === 'frame' && binary)
    expect(screens.some(({ bytes }) => bytes.includes(ADDRESS))).toBe(true)
    expect(
      all.some(({ kind, binary, bytes }) => kind === 'frame' && !binary && bytes.includes('"hello"')),
    ).toBe(true)
    expect(all.some(({ url, bytes }) => url.endsWith('/session') && bytes.includes('"ticket"'))).toBe(true)

    expect(findSecrets(all, { password: sshd.password })).toEqual([])
    const replayed = /\/api\/recordings\/[^/]+\/(?:screen|text)/
    const ours = all.filter(({ kind, binary, url }) => !(kind === 'frame' && binary) && !replayed.test(url))
    expect(findSecrets(ours, { address: ADDRESS })).toEqual([])
  })

  it('nor does a session that cannot be opened: wrong credential, then nobody at the address', async () => {
    const vendor = page('vendor')
    await received()
    for (const capture of captures) capture.received.length = 0
    const endpointId = (await plant.admin.call('GET /api/assets', {}))[0]?.endpoints[0]?.id ?? ''
    await plant.admin.call('PUT /api/endpoints/:id/accounts/:account/credential', {
      params: { id: endpointId, account: sshd.user },
      body: { kind: 'password', password: 'wrong-horse-battery' },
    })
    const failing = async () => {
      await vendor.goto(`${plant.origin}/requests/${requestId}/open`)
      await vendor.getByLabel('I have read this and accept it').check()
      await vendor.getByRole('button', { name: 'Open session' }).click()
      await vendor.getByText('What was changed').first().waitFor()
    }
    await failing()
    await sshd.stop()
    await failing()
    const all = await received()
    expect(all.length).toBeGreaterThan(0)
    const secrets = { password: sshd.password, wrong: 'wrong-horse-battery', address: ADDRESS }
    expect(findSecrets(all, secrets)).toEqual([])
  })

  it('the search finds a secret in every spelling', () => {
    const piece = (bytes: string): Received => ({
      kind: 'http',
      url: 'x',
      bytes: Buffer.from(bytes),
      binary: false,
    })
    const secret = 'pa"ss/wörd+7'
    for (const text of [
      `{"password":${JSON.stringify(secret)}}`,
      `a=${encodeURIComponent(secret)}`,
      Buffer.from(`login ${secret} now`).toString('base64'),
      Buffer.from(`login  ${secret} now`).toString('base64'),
      Buffer.from(`login   ${secret} now`).toString('base64'),
      Buffer.from(secret).toString('hex'),
    ])
      expect(findSecrets([piece(text)], { secret }), text).not.toEqual([])
    expect(findSecrets([piece('nothing here')], { secret })).toEqual([])
  })
})
