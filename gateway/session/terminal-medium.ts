import { CLOSE } from '../../broker/contract/terminal.ts'
import type { PinnedIdentity } from '../../broker/domain/grant.ts'
import type { SessionRecorder } from '../../recordings/recorder/api.ts'
import { endOf, type SshFailure } from '../ssh/failure.ts'
import type { Browser } from './browser.ts'
import { FairShare, type TypingBoard } from './fair-share.ts'
import type { AssetEvents, Medium, MediumHost, Reached, Said } from './medium.ts'
import { OutputJoin } from './output-join.ts'
import { ResizePace, type Size } from './resize-pace.ts'
import type { SourceEvents, TerminalSource } from './source.ts'
import { Viewer } from './viewer.ts'

/** Input that waits for the asset; a paste that is larger closes the browser's socket. */
const INPUT_BACKLOG_LIMIT = 16 * 1024 * 1024

/** What a terminal needs of the world around it. */
export interface TerminalPorts {
  /** Where all sessions of this gateway see each other type. */
  typing: TypingBoard
  /** Reaches the asset that the grant names; `signal` gives up at once. */
  open(
    size: Size,
    events: SourceEvents,
    signal: AbortSignal,
  ): Promise<
    | {
        ok: true
        opened: { source: TerminalSource; identity: PinnedIdentity; algorithms: Record<string, string> }
      }
    | { ok: false; failure: SshFailure }
  >
  /** Starts the recording. Called when the asset has proven what it is, before anything of it is read. */
  record(target: PinnedIdentity, size: Size): Promise<SessionRecorder>
}

/** A terminal over SSH: bytes both ways, and a size. */
export class TerminalMedium implements Medium<Viewer> {
  readonly #host: MediumHost<Viewer>
  readonly #ports: TerminalPorts
  readonly #output: OutputJoin
  readonly #share: FairShare
  readonly #resizes: ResizePace
  #source: TerminalSource | null = null
  #recorder: SessionRecorder | null = null
  #size: Size = { cols: 80, rows: 24 }
  #paused = false
  #inputPaused = false
  #assetFull = false
  #recorderFull = false
  /** Owed too much, and not caught up since. */
  #ownerFull = false
  #bytesOut = 0
  #bytesIn = 0

  constructor(host: MediumHost<Viewer>, ports: TerminalPorts) {
    this.#host = host
    this.#ports = ports
    this.#output = new OutputJoin((bytes) => this.#show(bytes))
    this.#share = new FairShare(ports.typing, host.session, host.clock, () => this.pace())
    this.#resizes = new ResizePace(
      host.clock,
      () => this.#source !== null && host.mayAct(),
      (size) => this.#resize(size),
    )
  }

  get isOpen(): boolean {
    return this.#source !== null
  }

  get bytes(): { out: number; in: number } {
    return { out: this.#bytesOut, in: this.#bytesIn }
  }

  seat(browser: Browser): Viewer {
    return new Viewer(browser, async () => {
      if (!this.#recorder) throw new Error('there is no screen yet')
      return await this.#recorder.screen()
    })
  }

  startsWith(message: Said): void {
    this.#size = sizeIn(message) ?? this.#size
  }

  /** A source starts paused, until `begin`. */
  async reach(events: AssetEvents, signal: AbortSignal): Promise<Reached> {
    const answer = await this.#ports.open(
      this.#size,
      {
        output: (bytes) => this.#output.add(bytes),
        drain: () => {
          this.#assetFull = false
          this.#inputFlows()
        },
        channelRefused: (channel) => events.channelRefused(channel),
        closed: (code, seen) => {
          this.#output.flush()
          events.closed(endOf(code, true), { seen })
        },
      },
      signal,
    )
    if (!answer.ok) {
      const { code, message, seen } = answer.failure
      return { ok: false, end: endOf(code, false), message, ...(seen ? { seen } : {}) }
    }
    const { source, identity, algorithms } = answer.opened
    this.#source = source
    return { ok: true, identity, algorithms }
  }

  async record(identity: PinnedIdentity | null): Promise<SessionRecorder> {
    if (!identity) throw new Error('an SSH asset always shows who it is')
    this.#recorder = await this.#ports.record(identity, this.#size)
    return this.#recorder
  }

  begin(): void {
    this.#paused = true
    this.pace()
  }

  // From the asset

  #show(bytes: Buffer): void {
    const { audience, recording } = this.#host
    if (this.#host.isEnding()) return
    const position = this.#bytesOut
    this.#bytesOut += bytes.length
    this.#share.took(bytes.length)
    // Accepted first, shown after it. A failed recorder has told the session already, which follows the asset's rule.
    if (!recording.take(() => this.#recorder?.output(bytes) ?? true)) this.#recorderFull = true
    if (this.#host.isEnding()) return
    audience.owner?.show(bytes, position)
    for (const watcher of audience.watchers) watcher.showIfInStep(bytes, position)
    if (this.#recorderFull || this.#share.waits || audience.owner?.owesTooMuch) this.pace()
  }

  // From the browser

  typed(_seat: Viewer, bytes: Buffer): void {
    if (!this.#source || !this.#host.mayAct()) return
    this.#host.acted()
    this.#share.typed()
    const kept = this.#host.recording.take(() => this.#recorder?.input(bytes) ?? true)
    if (!this.#host.mayAct()) return
    this.#bytesIn += bytes.length
    const taken = this.#source.write(bytes)
    if (kept && taken) return
    this.#recorderFull ||= !kept
    this.#assetFull ||= !taken
    this.#holdInput()
  }

  watched(seat: Viewer, _bytes: Buffer): void {
    seat.close(CLOSE.badMessage, 'watchers only watch')
  }

  /**
   * Reads no more from the browser, unless it owes acknowledgements: those come the same way, and an asset that waits
   * for its output to be taken before it reads on would wait for ever. What is read meanwhile is bounded.
   */
  #holdInput(): void {
    const { owner } = this.#host.audience
    if (!owner) return
    if (!owner.owesTooMuch) {
      this.#inputPaused = true
      owner.browser.pause()
    } else if ((this.#source?.backlog ?? 0) > INPUT_BACKLOG_LIMIT)
      owner.browser.close(CLOSE.badMessage, 'more input than the asset takes')
  }

  #inputFlows(): void {
    if (!this.#inputPaused || this.#recorderFull || this.#assetFull) return
    this.#inputPaused = false
    this.#host.audience.owner?.browser.resume()
  }

  said(message: Said): void {
    const size = sizeIn(message)
    if (size) this.#resizes.want(size)
  }

  #resize(wanted: Size): void {
    const size = bounded(wanted)
    if (size.cols === this.#size.cols && size.rows === this.#size.rows) return
    this.#output.flush()
    this.#size = size
    this.#recorder?.resize(size.cols, size.rows)
    this.#source?.resize(size.cols, size.rows)
    for (const watcher of this.#host.audience.watchers) watcher.tell({ type: 'resize', ...this.#size })
  }

  // To the browsers

  /** Another browser of the person: it is as paused as the former one was. */
  ownerCame(viewer: Viewer): void {
    if (this.#inputPaused) viewer.browser.pause()
  }

  ownerIsBack(seat: Viewer, message: Said): void {
    this.said(message)
    void this.#repaint(seat).then(() => this.pace())
    this.pace()
  }

  ownerGone(): void {
    this.pace()
  }

  watcherCame(seat: Viewer): void {
    void this.#repaint(seat)
  }

  /** The whole screen, then what came since. */
  async #repaint(viewer: Viewer): Promise<void> {
    await viewer.repaint(this.#bytesOut, () => this.#size)
  }

  beat(): void {
    for (const watcher of this.#host.audience.watchers) if (watcher.wantsScreen) void this.#repaint(watcher)
  }

  // Pace

  stateChanged(): void {
    this.#resizes.flow()
  }

  recorderFree(): void {
    this.#recorderFull = false
  }

  /** Reads from the asset only while everybody who must have its bytes can take them. */
  pace(): void {
    const { owner } = this.#host.audience
    if (owner?.owesTooMuch) this.#ownerFull = true
    else if (owner?.caughtUpEnough !== false) this.#ownerFull = false
    const wait = this.#recorderFull || this.#share.waits || owner?.catchingUp === true || this.#ownerFull
    if (wait !== this.#paused) {
      this.#paused = wait
      if (wait) this.#source?.pause()
      else this.#source?.resume()
    }
    if (this.#inputPaused && owner?.owesTooMuch) {
      this.#inputPaused = false
      owner.browser.resume()
    }
    this.#inputFlows()
  }

  // End

  stop(): void {
    this.#resizes.stop()
    this.#share.close()
    this.#output.flush()
  }

  end(): void {
    this.#source?.end()
  }

  destroy(): void {
    this.#source?.destroy()
  }
}

function sizeIn(message: Said): Size | null {
  if (!('cols' in message) || message.cols === undefined || message.rows === undefined) return null
  return bounded({ cols: message.cols, rows: message.rows })
}

/** The largest screen that the recording's model keeps; terminal, recording and viewers must agree on the size. */
function bounded(size: Size): Size {
  return { cols: Math.min(size.cols, 500), rows: Math.min(size.rows, 300) }
}
