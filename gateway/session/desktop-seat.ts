import type { CLOSE, TerminalDown } from '../../broker/contract/terminal.ts'
import type { RfbViewer } from '../desktop/rfb-server/viewer.ts'
import type { Browser } from './browser.ts'
import type { Seat } from './medium.ts'

/** A browser that sees a desktop: an RFB client, once there is something to see. */
export class DesktopSeat implements Seat {
  readonly browser: Browser
  #viewer: RfbViewer | null = null
  #over = false

  constructor(browser: Browser) {
    this.browser = browser
  }

  get viewer(): RfbViewer | null {
    return this.#viewer
  }

  /** Lets it draw, once. */
  show(make: () => RfbViewer): void {
    if (!this.#over) this.#viewer ??= make()
  }

  tell(message: TerminalDown): void {
    if (!this.#over) this.browser.tell(message)
  }

  /** RFB has its own way to say how far a browser is: requests and fences. */
  acknowledge(): void {}

  close(code: (typeof CLOSE)[keyof typeof CLOSE], reason: string): void {
    if (this.#over) return
    this.#end()
    this.browser.close(code, reason)
  }

  drop(): void {
    this.#end()
    this.browser.destroy()
  }

  #end(): void {
    this.#over = true
    this.#viewer?.close()
  }
}
