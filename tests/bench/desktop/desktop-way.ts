/** A desktop on some way to the same X server, as far as the wire goes: what every peer is measured through. */
export interface Desktop {
  /** Milliseconds from the browser's connecting to the first whole picture. */
  readonly firstPictureMs: number
  readonly size: { width: number; height: number }
  /** What has come since it was opened. */
  readonly shown: Shown
  /** One listener at a time; called when a whole update has come. */
  onUpdate(listener: () => void): void
  key(down: boolean, keysym: number): void
  pointer(buttons: number, x: number, y: number): void
  close(): Promise<void>
}

export interface Shown {
  updates: number
  /** Bytes for the browser. */
  bytes: number
  /** Pixels that were painted. */
  pixels: number
}

export interface DesktopWay {
  name: string
  /** Of the process whose processor time counts, with its descendants. */
  pid: number
  /** `expected`: RGBX rows that the X server has on its screen; they stand still. */
  open(expected: Uint8Array): Promise<Desktop>
  /** Bytes of what was recorded of the desktop that was closed last; null where nothing is recorded. */
  recordedBytes(): Promise<number | null>
}

export interface Area {
  x: number
  y: number
  width: number
  height: number
}

/** Which pixels have been painted at least once. */
export class Coverage {
  readonly #width: number
  readonly #painted: Uint8Array
  #left: number

  constructor(width: number, height: number) {
    this.#width = width
    this.#painted = new Uint8Array(width * height)
    this.#left = width * height
  }

  add({ x, y, width, height }: Area): void {
    for (let row = y; row < y + height; row++)
      for (let at = row * this.#width + x; at < row * this.#width + x + width; at++)
        if (this.#painted[at] === 0) {
          this.#painted[at] = 1
          this.#left -= 1
        }
  }

  get isWhole(): boolean {
    return this.#left === 0
  }
}
