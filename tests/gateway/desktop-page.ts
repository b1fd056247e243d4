/** The page of desktop-viewer.test.ts: noVNC, unmodified, over a session socket, and what the test asks of it. */
import RFB from '@novnc/novnc'
import { RfbChannel } from '../../web/desktop/rfb-channel.ts'

async function digest(pixels: Uint8ClampedArray): Promise<string> {
  const hash = new Uint8Array(await crypto.subtle.digest('SHA-256', new Uint8Array(pixels)))
  return Array.from(hash, (byte) => byte.toString(16).padStart(2, '0')).join('')
}

function canvas(): HTMLCanvasElement {
  const found = document.querySelector<HTMLCanvasElement>('#desktop canvas')
  if (!found) throw new Error('noVNC has drawn no canvas')
  return found
}

const events: string[] = []
const texts: string[] = []
const pasted: string[] = []
let rfb: RFB | null = null
let startedAt = 0

const desktop = {
  events,
  texts,
  pasted,

  start(url: string, attachAfterMs = 0): void {
    startedAt = performance.now()
    const socket = new WebSocket(url)
    socket.binaryType = 'arraybuffer'
    const channel = new RfbChannel((bytes) => socket.send(bytes))
    socket.addEventListener('message', ({ data }) => {
      if (typeof data === 'string') texts.push(data)
      else channel.receive(data)
    })
    socket.addEventListener('close', () => channel.end())
    const target = document.querySelector<HTMLElement>('#desktop')
    if (!target) throw new Error('the page has no place for a desktop')
    const attach = () => {
      rfb = new RFB(target, channel)
      for (const type of ['connect', 'disconnect', 'securityfailure', 'bell', 'desktopname'])
        rfb.addEventListener(type, () => events.push(type))
      rfb.addEventListener('clipboard', (event) =>
        pasted.push((event as CustomEvent<{ text: string }>).detail.text),
      )
    }
    if (attachAfterMs > 0) setTimeout(attach, attachAfterMs)
    else attach()
  },

  paste: (text: string) => rfb?.clipboardPasteFrom(text),
  focus: () => rfb?.focus(),
  disconnect: () => rfb?.disconnect(),

  followWindow(): void {
    if (rfb) rfb.resizeSession = true
  },

  /** `WIDTHxHEIGHT DIGEST` of what the canvas shows. */
  async shows(): Promise<string> {
    const { width, height } = canvas()
    if (width === 0 || height === 0) return 'nothing yet'
    const pixels = canvas().getContext('2d')?.getImageData(0, 0, width, height).data
    return `${width}x${height} ${pixels ? await digest(pixels) : ''}`
  },

  /**
   * Milliseconds from `start` until the canvas shows a picture of this size whose last pixel has this colour. One
   * update is drawn at once, so one pixel tells; reading all of them each time would be most of what is measured.
   */
  async timeTo(width: number, height: number, [red, green, blue]: readonly number[]): Promise<number> {
    while (performance.now() - startedAt < 10_000) {
      const found = document.querySelector<HTMLCanvasElement>('#desktop canvas')
      if (found?.width === width && found.height === height) {
        const pixel = found.getContext('2d')?.getImageData(width - 1, height - 1, 1, 1).data
        if (pixel?.[0] === red && pixel?.[1] === green && pixel?.[2] === blue)
          return performance.now() - startedAt
      }
      await new Promise((done) => setTimeout(done, 2))
    }
    throw new Error(`after 10 s the canvas shows ${await desktop.shows()}`)
  },

  /** The pointer that the browser was given: hot spot and RGBA. */
  async pointer(): Promise<{ hot: string; pixels: number[] }> {
    const style = canvas().style.cursor
    const [, url, hot] = /^url\("(.*)"\) (\d+ \d+)/.exec(style) ?? []
    if (!url || !hot) return { hot: style, pixels: [] }
    const image = new Image()
    image.src = url
    await image.decode()
    const copy = new OffscreenCanvas(image.width, image.height).getContext('2d')
    copy?.drawImage(image, 0, 0)
    return { hot, pixels: [...(copy?.getImageData(0, 0, image.width, image.height).data ?? [])] }
  },
}

export type DesktopPage = typeof desktop
Object.assign(window, { desktop })
