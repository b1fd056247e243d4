import { createHash } from 'node:crypto'
import { KEYBOARDS } from '../../broker/contract/keyboards.ts'
import type { PinnedIdentity } from '../../broker/domain/grant.ts'
import type { DesktopKeyframe, DesktopRecorder } from '../../recordings/recorder/api.ts'
import type { EncodePool } from '../desktop/encode/pool.ts'
import { TileEncoder } from '../desktop/encode/tile-encoder.ts'
import { type DesktopAnswer, endOfOpening, endOfSource } from '../desktop/failure.ts'
import { MAX_CLIPBOARD_BYTES } from '../desktop/limits.ts'
import type { ClipboardPolicy } from '../desktop/rfb-server/clipboard.ts'
import { type RfbChannel, RfbViewer, type RfbViewerHandlers } from '../desktop/rfb-server/viewer.ts'
import { Screen } from '../desktop/screen/screen.ts'
import type { Desk, DesktopEndCode, DesktopEvents, DesktopSource } from '../desktop/source.ts'
import { clientCutText, keyMessage, pointerMessage } from '../desktop/vnc/client-messages.ts'
import type { Browser } from './browser.ts'
import { DesktopRecording } from './desktop-recording.ts'
import { DesktopSeat } from './desktop-seat.ts'
import { HeldInput } from './held-input.ts'
import type { AssetEvents, Medium, MediumHost, Reached, Recording, Said } from './medium.ts'

/** Input that waits for the asset: above, the browser is not read until it has gone. */
const INPUT_BACKLOG_LIMIT = 64 * 1024

/** What the asset copies is for the person whose session it is. */
const NO_CLIPBOARD: ClipboardPolicy = { in: false, out: false }

/** What a desktop needs of the world around it. */
export interface DesktopPorts {
  /** What the desktop is called in browsers and recordings. */
  name: string
  viewOnly: boolean
  clipboard: ClipboardPolicy
  encoders: EncodePool
  /** Reaches the asset that the grant names; `signal` gives up at once. */
  open(events: DesktopEvents, signal: AbortSignal, desk: Desk): Promise<DesktopAnswer>
  /** Starts the recording. Called before anything of the asset's picture is asked for. */
  record(target: PinnedIdentity | null, keyframe: () => Promise<DesktopKeyframe>): Promise<DesktopRecorder>
}

/**
 * A desktop: the asset paints into a Screen, the recording and every browser draw from it at their own pace, and keys and
 * pointer of the one person go back. A slow browser costs nobody anything; a recorder without room stops the asset.
 */
export class DesktopMedium implements Medium<DesktopSeat> {
  readonly #host: MediumHost<DesktopSeat>
  readonly #ports: DesktopPorts
  /** The asset's first word about its size makes it what it is. */
  readonly #screen = new Screen(1, 1)
  readonly #encoder: TileEncoder
  readonly #held = new HeldInput()
  #source: DesktopSource | null = null
  #recording: DesktopRecording | null = null
  #desk: Desk = { size: null, keyboard: KEYBOARDS[0] }
  #isLive = false
  /** The asset hears nothing any more. */
  #isGone = false
  #paused = true
  #inputPaused = false
  #recorderFull = false
  #bytesIn = 0

  constructor(host: MediumHost<DesktopSeat>, ports: DesktopPorts) {
    this.#host = host
    this.#ports = ports
    this.#encoder = new TileEncoder(this.#screen, ports.encoders)
  }

  get isOpen(): boolean {
    return this.#source !== null
  }

  get bytes(): { out: number; in: number } {
    return { out: this.#source?.received ?? 0, in: this.#bytesIn }
  }

  seat(browser: Browser): DesktopSeat {
    return new DesktopSeat(browser)
  }

  /** For an asset that makes its desktop to measure. */
  startsWith(message: Said): void {
    if (message.type === 'start')
      this.#desk = { size: message.room ?? null, keyboard: message.keyboard ?? KEYBOARDS[0] }
  }

  /** A source asks for no picture before its first `resume`. */
  async reach(events: AssetEvents, signal: AbortSignal): Promise<Reached> {
    const answer = await this.#ports.open(this.#sourceEvents(events), signal, this.#desk)
    if (!answer.ok) {
      const { code, message, seen } = answer.failure
      return { ok: false, end: endOfOpening(code), message, ...(seen ? { seen } : {}) }
    }
    const { source, identity, algorithms } = answer.opened
    this.#source = source
    return { ok: true, identity, algorithms }
  }

  #sourceEvents(events: AssetEvents): DesktopEvents {
    const { audience, recording } = this.#host
    return {
      canvas: this.#screen,
      clipboard: (text) => {
        if (!this.#ports.clipboard.out) return
        // A picture does not show what is copied; that it was must not depend on it.
        const digest = createHash('sha256').update(text).digest('hex')
        recording.mark(`copied on the asset, for the browser: ${text.length} characters, SHA-256 ${digest}`)
        audience.owner?.viewer?.clipboard(text)
      },
      bell: () => {
        for (const viewer of this.#viewers()) viewer.bell()
      },
      identityChanged: (seen) => {
        recording.mark(`for another size, something else than the asset answered: ${seen.fingerprint}`)
        events.identityChanged(seen)
      },
      drain: () => this.#inputFlows(),
      closed: (code: DesktopEndCode, message: string) => {
        this.#isGone = true
        // Why, for whoever looks into it later; the person is told the end alone.
        if (code !== 'shell-ended') recording.mark(`${code}: ${message}`)
        const { end, message: sentence } = endOfSource(code)
        events.closed(end, { message: sentence })
      },
    }
  }

  async record(identity: PinnedIdentity | null): Promise<Recording> {
    this.#recording = await DesktopRecording.open({
      screen: this.#screen,
      encoder: this.#encoder,
      name: this.#ports.name,
      open: (keyframe) => this.#ports.record(identity, keyframe),
      take: (give) => this.#host.recording.take(give),
      full: () => {
        this.#recorderFull = true
        this.pace()
      },
    })
    return this.#recording
  }

  begin(): void {
    const { audience } = this.#host
    this.#isLive = true
    if (audience.owner) this.ownerIsBack(audience.owner)
    for (const watcher of audience.watchers) this.watcherCame(watcher)
    this.pace()
  }

  // To the browsers

  /** As paused as the former one was, whose keys are let go. */
  ownerCame(seat: DesktopSeat): void {
    this.#release()
    if (this.#inputPaused) seat.browser.pause()
  }

  ownerIsBack(seat: DesktopSeat): void {
    if (this.#isLive) {
      const { viewOnly, clipboard } = this.#ports
      seat.show(() => this.#viewer(seat, viewOnly, clipboard))
    }
  }

  watcherCame(seat: DesktopSeat): void {
    if (this.#isLive) seat.show(() => this.#viewer(seat, true, NO_CLIPBOARD))
  }

  #viewer({ browser }: DesktopSeat, viewOnly: boolean, clipboard: ClipboardPolicy): RfbViewer {
    const channel: RfbChannel = {
      send: (bytes) => browser.send(bytes),
      get queued() {
        return browser.queued
      },
      close: (code, reason) => browser.close(code, reason),
    }
    const { name } = this.#ports
    return new RfbViewer(
      channel,
      this.#screen,
      this.#encoder,
      { name, viewOnly, clipboard, resizable: this.#source?.isOwnSize ?? false },
      this.#hands(),
    )
  }

  *#viewers(): Iterable<RfbViewer> {
    const { owner, watchers } = this.#host.audience
    for (const seat of [...(owner ? [owner] : []), ...watchers]) if (seat.viewer) yield seat.viewer
  }

  // From the browser

  typed(seat: DesktopSeat, bytes: Buffer): void {
    seat.viewer?.bytes(bytes)
  }

  watched(seat: DesktopSeat, bytes: Buffer): void {
    seat.viewer?.bytes(bytes)
  }

  /** Sizes are RFB's matter, and nothing else is said. */
  said(): void {}

  #hands(): RfbViewerHandlers {
    return {
      key: (down, keysym, scancode) => {
        // What could not be let go again does not go down.
        if (down && !this.#held.hasRoom(keysym, scancode)) return
        this.#act(keyMessage(down, keysym, scancode), (source) => {
          this.#held.key(down, keysym, scancode, source.takesScancodes)
          source.key(down, keysym, scancode)
        })
      },
      pointer: (x, y, buttons) =>
        this.#act(pointerMessage(x, y, buttons), (source) => {
          this.#held.pointer(x, y, buttons)
          source.pointer(x, y, buttons)
        }),
      clipboard: (text) =>
        this.#act(clientCutText(text, MAX_CLIPBOARD_BYTES), (source) => source.clipboard(text)),
      resize: (width, height) => {
        if (!this.#source?.isOwnSize || !this.#host.mayAct()) return
        this.#host.acted()
        this.#source.resize(width, height)
      },
    }
  }

  /** Recorded first, then done. */
  #act(message: Uint8Array, act: (source: DesktopSource) => void): void {
    if (!this.#source || !this.#host.mayAct()) return
    this.#host.acted()
    this.#keep(message)
    // A recorder that has just failed may have frozen the person's input.
    if (!this.#host.mayAct()) return
    this.#bytesIn += message.length
    act(this.#source)
    if (this.#recorderFull || this.#source.backlog > INPUT_BACKLOG_LIMIT) this.#holdInput()
  }

  #keep(message: Uint8Array): void {
    if (this.#host.recording.take(() => this.#recording?.input(message) ?? true)) return
    this.#recorderFull = true
    this.pace()
  }

  /** Whatever is held down is let go, whoever may act now. */
  #release(): void {
    const source = this.#source
    const { keys, pointer } = this.#held.release()
    if (!source || !this.#isLive || this.#isGone) return
    for (const { keysym, scancode } of keys) {
      this.#keep(keyMessage(false, keysym, scancode))
      source.key(false, keysym, scancode)
    }
    if (!pointer) return
    this.#keep(pointerMessage(pointer.x, pointer.y, 0))
    source.pointer(pointer.x, pointer.y, 0)
  }

  #holdInput(): void {
    if (this.#inputPaused) return
    this.#inputPaused = true
    this.#host.audience.owner?.browser.pause()
  }

  #inputFlows(): void {
    if (!this.#inputPaused || this.#recorderFull) return
    if ((this.#source?.backlog ?? 0) > INPUT_BACKLOG_LIMIT) return
    this.#inputPaused = false
    this.#host.audience.owner?.browser.resume()
  }

  ownerGone(): void {
    this.#release()
  }

  // Pace

  stateChanged(): void {
    if (this.#host.mayAct()) return
    this.#release()
    this.#source?.keepSize()
  }

  recorderFree(): void {
    this.#recorderFull = false
  }

  /** Pictures are asked for only while they can be recorded. */
  pace(): void {
    if (this.#isLive && this.#paused !== this.#recorderFull) {
      this.#paused = this.#recorderFull
      if (this.#paused) this.#source?.pause()
      else this.#source?.resume()
    }
    this.#inputFlows()
  }

  /** Everybody draws at their own pace. */
  beat(): void {}

  // End

  /** What is half painted was never shown, and is not now. */
  stop(): void {}

  end(): void {
    this.#isGone = true
    this.#source?.end()
  }

  destroy(): void {
    this.#isGone = true
    this.#source?.destroy()
  }
}
