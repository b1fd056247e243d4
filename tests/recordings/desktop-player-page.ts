/** The page of desktop-player.test.ts: the player's own driver and channel, noVNC unmodified. */
import RFB from '@novnc/novnc'
import { DesktopDriver } from '../../web/auditor/desktop-driver.ts'
import { ReplayChannel } from '../../web/auditor/replay-channel.ts'
import type { DriverState, SegmentIndex } from '../../web/auditor/segment-player.ts'

const channel = new ReplayChannel()
const states: DriverState[] = []
let driver: DesktopDriver | null = null

function canvas(): HTMLCanvasElement {
  const found = document.querySelector<HTMLCanvasElement>('#desktop canvas')
  if (!found) throw new Error('noVNC has drawn no canvas')
  return found
}

const player = {
  start(index: SegmentIndex): void {
    const read = async (number: number) => (await fetch(`/segments/${number}`)).arrayBuffer()
    driver = new DesktopDriver(index, read, channel, (state) => states.push(state))
    const target = document.querySelector<HTMLElement>('#desktop')
    if (!target) throw new Error('the page has no place for a desktop')
    const rfb = new RFB(target, channel)
    rfb.viewOnly = true
  },
  seek: async (timeMs: number) => (await driver?.seek(timeMs)) ?? false,
  step: async (by: 1 | -1) => (await driver?.step(by)) ?? false,
  play: (speed: number) => {
    driver?.setSpeed(speed)
    driver?.setSkipsIdle(true)
    void driver?.play()
  },
  hasEnded: () => states.at(-1)?.ended === true && states.at(-1)?.playing === false,
  error: () => String(states.at(-1)?.error ?? ''),

  /** `WIDTHxHEIGHT DIGEST` of what the canvas shows when everything given is drawn. */
  async shows(): Promise<string> {
    await channel.drawn()
    const { width, height } = canvas()
    const pixels = canvas().getContext('2d')?.getImageData(0, 0, width, height).data
    const hash = new Uint8Array(await crypto.subtle.digest('SHA-256', new Uint8Array(pixels ?? [])))
    return `${width}x${height} ${Array.from(hash, (byte) => byte.toString(16).padStart(2, '0')).join('')}`
  },

  /** The pointer that the browser was given: RGBA. */
  async pointer(): Promise<number[]> {
    await channel.drawn()
    const [, url] = /^url\("(.*)"\)/.exec(canvas().style.cursor) ?? []
    if (!url) return []
    const image = new Image()
    image.src = url
    await image.decode()
    const copy = new OffscreenCanvas(image.width, image.height).getContext('2d')
    copy?.drawImage(image, 0, 0)
    return [...(copy?.getImageData(0, 0, image.width, image.height).data ?? [])]
  },
}

export type PlayerPage = typeof player
Object.assign(window, { player })
