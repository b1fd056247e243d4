import RFB from '@novnc/novnc'
import { RfbChannel } from './rfb-channel.ts'

/** `fit`: all of the desktop, as large as the place allows. `actual`: pixel by pixel, to be scrolled. */
export type Scale = 'fit' | 'actual'

export interface DesktopViewEvents {
  /** The asset has put text into its clipboard, as far as that is approved. */
  copied: (text: string) => void
  /** noVNC has given up although the line stands. */
  broken: () => void
}

/**
 * The desktop on the page: noVNC, a new one for each line to the session. While there is no line, the last picture stays
 * where it was.
 */
export class DesktopView {
  readonly #place: HTMLElement
  readonly #events: DesktopViewEvents
  #rfb: RFB | null = null
  #channel: RfbChannel | null = null
  #kept: HTMLCanvasElement | null = null
  #mayAct = false
  #scale: Scale = 'fit'
  #moves = false

  constructor(place: HTMLElement, events: DesktopViewEvents) {
    this.#place = place
    place.classList.add('desktop-place')
    this.#events = events
  }

  /** There is a line to the session; `send` gives it what noVNC says. */
  begin(send: (bytes: Uint8Array<ArrayBuffer>) => void): void {
    this.end()
    const channel = new RfbChannel(send)
    const rfb = new RFB(this.#place, channel, { shared: true })
    rfb.background = 'transparent'
    rfb.showDotCursor = true
    rfb.addEventListener('clipboard', (event) =>
      this.#events.copied((event as CustomEvent<{ text: string }>).detail.text),
    )
    // The size is known then, and the picture follows at once.
    rfb.addEventListener('connect', () => this.#drop())
    rfb.addEventListener('disconnect', () => {
      if (this.#rfb === rfb) this.#events.broken()
    })
    this.#channel = channel
    this.#rfb = rfb
    this.#apply()
  }

  receive(bytes: Uint8Array<ArrayBuffer>): void {
    this.#channel?.receive(bytes.buffer.byteLength === bytes.byteLength ? bytes.buffer : bytes.slice().buffer)
  }

  /** The line is gone. */
  end(): void {
    this.#keep()
    const rfb = this.#rfb
    const channel = this.#channel
    this.#rfb = null
    this.#channel = null
    // noVNC first: told to end when its line has, it reports an error.
    if (channel?.readyState === WebSocket.OPEN) rfb?.disconnect()
    channel?.end()
  }

  mayAct(may: boolean): void {
    const isNew = may && !this.#mayAct
    this.#mayAct = may
    this.#apply()
    // Nobody should have to click at a machine to type; a field that somebody is in keeps the keyboard.
    if (isNew && document.activeElement === document.body) this.focus()
  }

  scale(scale: Scale): void {
    this.#scale = scale
    this.#apply()
  }

  /** Pixel by pixel on a touch screen there is nothing to scroll with: a finger then moves the picture, not the pointer. */
  movePicture(moves: boolean): void {
    this.#moves = moves
    this.#apply()
  }

  /** Asks for a desktop of the window's size, once: each one costs the asset a connection of its own. */
  matchWindow(): void {
    const rfb = this.#rfb
    if (!rfb) return
    rfb.resizeSession = true
    rfb.resizeSession = false
  }

  focus(): void {
    this.#rfb?.focus({ preventScroll: true })
  }

  /** Presses and lets go, unless `down` says which of both. `code`: the place on the keyboard, as in KeyboardEvent. */
  key(keysym: number, code: string | null, down?: boolean): void {
    this.#rfb?.sendKey(keysym, code, down)
  }

  ctrlAltDel(): void {
    this.#rfb?.sendCtrlAltDel()
  }

  /** Puts text into the asset's clipboard. */
  paste(text: string): void {
    this.#rfb?.clipboardPasteFrom(text)
  }

  dispose(): void {
    this.end()
    this.#drop()
  }

  #apply(): void {
    const rfb = this.#rfb
    if (!rfb) return
    rfb.viewOnly = !this.#mayAct
    rfb.scaleViewport = this.#scale === 'fit'
    // A mouse has scroll bars; noVNC's own view of a part is for fingers.
    rfb.clipViewport = this.#scale === 'actual' && isTouch()
    rfb.dragViewport = rfb.clipViewport && this.#moves
  }

  /** A copy of the last picture: noVNC takes its own away with it. */
  #keep(): void {
    const canvas = this.#place.querySelector<HTMLCanvasElement>('canvas:not(.desktop-kept)')
    if (!canvas || canvas.width === 0 || canvas.height === 0) return
    this.#drop()
    const kept = document.createElement('canvas')
    kept.className = 'desktop-kept'
    kept.width = canvas.width
    kept.height = canvas.height
    kept.getContext('2d')?.drawImage(canvas, 0, 0)
    this.#place.append(kept)
    this.#kept = kept
  }

  #drop(): void {
    this.#kept?.remove()
    this.#kept = null
  }
}

/** Whether fingers are what this screen is mostly used with. */
export const isTouch = (): boolean => window.matchMedia('(pointer: coarse)').matches
