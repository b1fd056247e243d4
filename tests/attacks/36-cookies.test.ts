import type { Page } from 'playwright-core'
import { afterAll, beforeAll, describe, expect, it } from 'vitest'
import WebSocket from 'ws'
import { TERMINAL_PROTOCOL, TICKET_PROTOCOL_PREFIX } from '../../broker/contract/terminal.ts'
import { builtPages } from '../lab/built-pages.ts'
import { spellings } from '../lab/capture.ts'
import { type LabBrowser, openChromium } from '../lab/chromium.ts'
import { missingTools } from '../lab/lab.ts'
import { type LabSshd, opensshMissing, startOpenssh } from '../lab/openssh.ts'
import { askForAccess, openSession, setUpInBrowser, shown, typeLine } from '../lab/page-actions.ts'
import { type LabPlant, startPlant } from '../lab/plant.ts'
import { until } from '../lab/until.ts'
import { type LinkTap, tapLink } from './link-tap.ts'

const missing = opensshMissing() ?? (missingTools('chromium', 'nss-tools').join(', ') || null)

/** What a gateway may be told of a browser's upgrade; everything else stays with the broker. */
const ALLOWED = [
  'host',
  'connection',
  'upgrade',
  'sec-websocket-version',
  'sec-websocket-key',
  'sec-websocket-protocol',
  'sec-websocket-extensions',
  'x-sallyport-ticket',
]
const SPOOFED = {
  authorization: 'Bearer spoofed-bearer',
  forwarded: 'for=198.51.100.7;host=spoofed.example',
  'x-forwarded-for': '198.51.100.7',
  'x-forwarded-host': 'spoofed.example',
  'x-real-ip': '198.51.100.7',
  'x-remote-user': 'spoofed-user',
  'x-sallyport-ticket': 'spoofed.ticket.header',
  'x-sallyport-person': 'spoofed-person',
}

/**
 * Threat 36: identity headers from a client; cookies reach a gateway. All that the gateway receives on its connections
 * to the broker is read in the clear, while a real Chromium works in a session and a client sends what it likes.
 */
describe.skipIf(missing !== null)(`36: cookies and headers${missing ? ` (skipped: ${missing})` : ''}`, () => {
  let plant: LabPlant
  let tap: LinkTap
  let sshd: LabSshd
  let browser: LabBrowser
  let vendor: Page
  let requestId = ''
  let pages: Awaited<ReturnType<typeof builtPages>>

  beforeAll(async () => {
    pages = await builtPages()
    sshd = await startOpenssh()
    const found: { plant: { dataDir: string; linkPort: number } | null } = { plant: null }
    tap = await tapLink(() => found.plant)
    plant = await startPlant({
      webDir: pages.folder,
      gateway: { brokers: [tap.url] },
      enrolled: (dataDir, linkPort) => {
        found.plant = { dataDir, linkPort }
      },
    })
    browser = await openChromium({ hosts: [plant.host], ca: plant.ca })
    await plant.asset({
      name: 'Robot cell 4',
      criticality: 'C3',
      target: { port: sshd.port, user: sshd.user, password: sshd.password },
    })
    await plant.ticket('CHG-1042', ['Robot cell 4'])
    vendor = await browser.page()
    const { link } = await plant.invite('Vera Kowalski', ['vendor'], true)
    await setUpInBrowser(vendor, link)
    const manager = (await plant.person('Max Huber', ['approver'])).client
    requestId = await askForAccess(vendor, 'Replace the gripper program')
    await manager.decide(requestId, 'granted')
  })
  afterAll(async () => {
    await browser?.close()
    await plant?.stop()
    await tap?.close()
    await sshd?.stop()
    await pages?.remove()
  })

  const splices = () => tap.connections.filter(({ dialled }) => dialled().includes('/link/v1/splice/'))
  const upgradeOf = (splice: { received(): Buffer }) => {
    const [, , request = ''] =
      /^(HTTP\/1\.1 101.*?\r\n\r\n)(GET .*?\r\n\r\n)/s.exec(splice.received().toString('latin1')) ?? []
    return request
      .split('\r\n')
      .slice(1, -2)
      .map((line) => line.slice(0, line.indexOf(':')).toLowerCase())
  }
  const everything = () => Buffer.concat(tap.connections.map((connection) => connection.received()))

  it('a browser at work: no cookie, no authorization, no forwarded header reaches the gateway', async () => {
    await openSession(vendor, requestId)
    await shown(vendor, '$')
    await typeLine(vendor, 'echo crossed-$((40+2))')
    await shown(vendor, 'crossed-42')
    const cookies = await vendor.context().cookies(plant.origin)
    const token = cookies.find(({ name }) => name.includes('sign-in'))?.value ?? ''
    expect(token.length).toBeGreaterThan(40)
    expect(splices()).toHaveLength(1)
    for (const splice of splices()) {
      const headers = upgradeOf(splice)
      // The capture sees the upgrade itself, in the clear.
      expect(headers).toContain('x-sallyport-ticket')
      expect(headers.filter((name) => !ALLOWED.includes(name))).toEqual([])
    }
    const bytes = everything()
    for (const spelling of spellings(token)) expect(bytes.includes(spelling), spelling).toBe(false)
    expect(bytes.toString('latin1')).not.toMatch(
      /\r\n(?:cookie|authorization|forwarded|x-forwarded-[a-z]+|user-agent|referer):/i,
    )
  })

  it('a client that claims to be somebody: its headers are ignored and reach no gateway', async () => {
    const before = splices().length
    const csrf = await vendor.evaluate(
      async () => ((await (await fetch('/api/me')).json()) as { csrf: string }).csrf,
    )
    const sessionId = new URL(vendor.url()).pathname.split('/')[2] ?? ''
    const opening = await vendor.evaluate(
      async ([id, token]) => {
        const answer = await fetch(`/api/sessions/${id}/attach`, {
          method: 'POST',
          headers: { 'content-type': 'application/json', 'x-csrf-token': token ?? '' },
          body: '{}',
        })
        return (await answer.json()) as { socket: string; ticket: string }
      },
      [sessionId, csrf],
    )
    const cookies = await vendor.context().cookies(plant.origin)
    const cookie = cookies.map(({ name, value }) => `${name}=${value}`).join('; ')
    const knock = (headers: Record<string, string>) =>
      new Promise<number>((resolve) => {
        const port = Number(new URL(plant.origin).port)
        const socket = new WebSocket(
          `wss://${plant.host}:${port}${opening.socket}`,
          [TERMINAL_PROTOCOL, `${TICKET_PROTOCOL_PREFIX}${opening.ticket}`],
          {
            headers: { origin: plant.origin, ...headers },
            ca: plant.ca ?? undefined,
            lookup: (_host, _options, done) => done(null, [{ address: '127.0.0.1', family: 4 }]),
          },
        )
        socket.once('open', () => {
          socket.terminate()
          resolve(101)
        })
        socket.once('unexpected-response', (_request, answer) => resolve(answer.statusCode ?? 0))
        socket.on('error', () => undefined)
      })
    // Whoever names a person in a header is nobody.
    expect(await knock(SPOOFED)).toBe(401)
    expect(await knock({ ...SPOOFED, cookie })).toBe(101)
    await until(() => splices().length > before, 'the gateway dialled for it')
    const last = splices().at(-1)
    expect(last).toBeDefined()
    if (last) expect(upgradeOf(last).filter((name) => !ALLOWED.includes(name))).toEqual([])
    const bytes = everything()
    for (const value of ['spoofed', '198.51.100.7']) expect(bytes.includes(value), value).toBe(false)
    // Nor do they name anybody to the API.
    for (const path of ['/api/me', '/api/sessions'])
      expect((await plant.client().fetch('GET', path, undefined, SPOOFED)).status).toBe(401)
  })
})
