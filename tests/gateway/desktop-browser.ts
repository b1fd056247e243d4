import type { Grant, SessionTicket } from '../../broker/domain/grant.ts'
import { NOVNC_ENCODINGS, say } from '../../gateway/desktop/testing/rfb-client.ts'
import { RfbReader } from '../../gateway/desktop/testing/rfb-reader.ts'
import { describeCertificate } from '../../gateway/target/certificate.ts'
import { difference, PixelCanvas } from '../lab/pixel-canvas.ts'
import { until } from '../lab/until.ts'
import type { LabVnc } from '../lab/vnc-server.ts'
import type { House } from './house.ts'
import type { TestBrowser } from './test-broker.ts'

/** The fields of a grant for a VNC server of the lab. */
export function grantFor(lab: LabVnc, change: Partial<Grant> = {}): Partial<Grant> {
  return {
    protocol: 'vnc',
    address: { host: lab.host, port: lab.port },
    identities: lab.certificate ? [describeCertificate(lab.certificate)] : [],
    vnc: { security: lab.certificate ? 'x509' : 'plain', authentication: 'password' },
    account: 'vnc',
    ...change,
  }
}

type Step = 'version' | 'types' | 'result' | 'init' | 'normal'

/** A browser that draws the desktop: asks for the next update when it has one. */
export class DesktopBrowser {
  readonly screen = new RfbReader()
  updates = 0
  /** Set to false to ask for nothing more. */
  asks = true
  browser!: TestBrowser
  #bytes: Buffer = Buffer.alloc(0)
  #step: Step = 'version'

  /** Comes to an open session. */
  static async come(
    house: House,
    grant: Grant,
    use: SessionTicket['use'],
    change: Partial<SessionTicket> = {},
  ) {
    const desktop = new DesktopBrowser()
    desktop.browser = await house.broker.browser(grant, use, change, (browser, bytes) => {
      desktop.browser = browser
      browser.keepText = false
      desktop.#bytes = Buffer.concat([desktop.#bytes, bytes])
      while (desktop.#advance()) {}
    })
    if (use !== 'watch') desktop.browser.say({ type: 'start' })
    return desktop
  }

  say(...messages: Uint8Array[]): void {
    for (const message of messages) this.browser.ws.send(message)
  }

  /** Whether it shows what the X server has on its screen; says the difference when it never does. */
  async same(lab: LabVnc): Promise<void> {
    let last: string | null = 'nothing'
    await until(
      async () => {
        const { width, height, picture } = this.screen
        const canvas = new PixelCanvas()
        canvas.resize(width, height)
        canvas.pixels = Uint8Array.from(picture)
        last = width === 0 ? 'no screen' : difference(canvas, (await lab.picture()).pixels, 0)
        return last === null
      },
      'the browser shows the X server’s screen',
      15_000,
    ).catch((error) => {
      throw new Error(`${String(error)}: ${last}`)
    })
  }

  #advance(): boolean {
    switch (this.#step) {
      case 'version':
        return this.#when(12, 'types', () => this.say(say.version()))
      case 'types':
        return this.#when(2, 'result', () => this.say(say.security()))
      case 'result':
        return this.#when(4, 'init', () => this.say(say.init()))
      case 'init': {
        if (this.#bytes.length < 24) return false
        const length = 24 + this.#bytes.readUInt32BE(20)
        return this.#when(length, 'normal', (bytes) => {
          this.screen.init(bytes)
          // Plain updates on request, so that a test decides when it reads.
          const encodings = NOVNC_ENCODINGS.filter((one) => one !== -313 && one !== -312)
          this.say(say.encodings(...encodings), say.updateRequest(false))
        })
      }
      default:
        return this.#read()
    }
  }

  #when(length: number, next: Step, take: (bytes: Buffer) => void): boolean {
    if (this.#bytes.length < length) return false
    const bytes = this.#bytes.subarray(0, length)
    this.#bytes = this.#bytes.subarray(length)
    this.#step = next
    take(bytes)
    return true
  }

  /** All that is there, once the last message of it is whole. */
  #read(): boolean {
    if (this.#bytes.length === 0) return false
    try {
      const messages = this.screen.read(this.#bytes)
      this.#bytes = Buffer.alloc(0)
      const updates = messages.filter(({ type }) => type === 'update').length
      this.updates += updates
      if (updates > 0 && this.asks) this.say(say.updateRequest(true))
    } catch (error) {
      if (!String(error).includes('incomplete')) throw error
    }
    return false
  }
}

let opened = 0

/** An open desktop session with the vendor's browser drawing. */
export async function openDesktop(house: House, lab: LabVnc, change: Partial<Grant> = {}) {
  const { broker } = house
  const grant = broker.grant(null, grantFor(lab, change))
  await broker.passwordOf({ user: grant.account, password: lab.password })
  const answer = await broker.open(grant)
  if (answer?.code !== null) throw new Error(`not opened: ${JSON.stringify(answer)}`)
  const desktop = await DesktopBrowser.come(house, grant, 'open')
  const { browser } = desktop
  await browser.state('live', 30_000)
  await until(() => desktop.updates > 0, 'a picture')
  // Who moves the pointer, to another place each time, is sent its shape; for others the server draws it into the picture.
  opened += 1
  desktop.say(say.pointer(0, 300 + (opened % 50), 200))
  return { grant, browser, desktop }
}
