import { CLOSE } from '../../broker/contract/terminal.ts'
import type { Clock } from '../../broker/domain/clock.ts'
import type { Audience } from './audience.ts'
import { FairShare, type TypingBoard } from './fair-share.ts'
import { OutputJoin } from './output-join.ts'
import type { RecordingSide } from './recording-side.ts'
import { ResizePace, type Size } from './resize-pace.ts'
import type { TerminalSource } from './source.ts'
import type { Viewer } from './viewer.ts'

/** Input that waits for the asset; a paste that is larger closes the browser's socket. */
const INPUT_BACKLOG_LIMIT = 16 * 1024 * 1024

/** What the terminal asks of the session that it belongs to. */
export interface TerminalHost {
  clock: Clock
  typing: TypingBoard
  session: string
  audience: Audience
  recording: RecordingSide
  /** Whether what the vendor does reaches the asset. */
  mayAct(): boolean
  isEnding(): boolean
  /** The person typed. */
  acted(): void
}

/**
 * What is a terminal's of a session: the asset's bytes on their way into the recording and to the browsers, the keys on
 * their way back, the size, and the pace at which all of them can go on.
 */
export class TerminalSide {
  readonly #host: TerminalHost
  readonly #output: OutputJoin
  readonly #share: FairShare
  readonly #resizes: ResizePace
  #source: TerminalSource | null = null
  #size: Size = { cols: 80, rows: 24 }
  #paused = false
  #inputPaused = false
  #assetFull = false
  #recorderFull = false
  /** Owed too much, and not caught up since. */
  #ownerFull = false
  #bytesOut = 0
  #bytesIn = 0

  constructor(host: TerminalHost) {
    this.#host = host
    this.#output = new OutputJoin((bytes) => this.#show(bytes))
    this.#share = new FairShare(host.typing, host.session, host.clock, () => this.pace())
    this.#resizes = new ResizePace(
      host.clock,
      () => this.#source !== null && host.mayAct(),
      (size) => this.#resize(size),
    )
  }

  /** The size that the asset is opened with. */
  get size(): Size {
    return this.#size
  }

  get isOpen(): boolean {
    return this.#source !== null
  }

  get bytes(): { out: number; in: number } {
    return { out: this.#bytesOut, in: this.#bytesIn }
  }

  startsWith(size: Size): void {
    this.#size = bounded(size)
  }

  /** The asset is reached. A source starts paused, until `begin`. */
  use(source: TerminalSource): void {
    this.#source = source
  }

  begin(): void {
    this.#paused = true
    this.pace()
  }

  // From the asset

  took(bytes: Buffer): void {
    this.#output.add(bytes)
  }

  drained(): void {
    this.#assetFull = false
    this.#inputFlows()
  }

  flush(): void {
    this.#output.flush()
  }

  #show(bytes: Buffer): void {
    const { audience, recording } = this.#host
    if (this.#host.isEnding()) return
    const position = this.#bytesOut
    this.#bytesOut += bytes.length
    this.#share.took(bytes.length)
    // Accepted first, shown after it. A failed recorder has told the session already, which follows the asset's rule.
    if (!recording.take('output', bytes)) this.#recorderFull = true
    if (this.#host.isEnding()) return
    audience.owner?.show(bytes, position)
    for (const watcher of audience.watchers) watcher.showIfInStep(bytes, position)
    if (this.#recorderFull || this.#share.waits || audience.owner?.owesTooMuch) this.pace()
  }

  // From the browser

  input(bytes: Buffer): void {
    if (!this.#source || !this.#host.mayAct()) return
    this.#host.acted()
    this.#share.typed()
    const kept = this.#host.recording.take('input', bytes)
    if (!this.#host.mayAct()) return
    this.#bytesIn += bytes.length
    const taken = this.#source.write(bytes)
    if (kept && taken) return
    this.#recorderFull ||= !kept
    this.#assetFull ||= !taken
    this.#holdInput()
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

  wantSize(size: Size): void {
    this.#resizes.want(size)
  }

  #resize(wanted: Size): void {
    const size = bounded(wanted)
    if (size.cols === this.#size.cols && size.rows === this.#size.rows) return
    this.#output.flush()
    this.#size = size
    this.#host.recording.resize(size.cols, size.rows)
    this.#source?.resize(size.cols, size.rows)
    for (const watcher of this.#host.audience.watchers) watcher.tell({ type: 'resize', ...this.#size })
  }

  // To the browsers

  /** Another browser of the person: it is as paused as the former one was. */
  ownerCame(viewer: Viewer): void {
    if (this.#inputPaused) viewer.browser.pause()
  }

  /** The whole screen, then what came since. */
  async repaint(viewer: Viewer): Promise<void> {
    await viewer.repaint(this.#bytesOut, () => this.#size)
  }

  catchUpWatchers(): void {
    for (const watcher of this.#host.audience.watchers) if (watcher.wantsScreen) void this.repaint(watcher)
  }

  // Pace

  /** What the person may do has changed. */
  stateChanged(): void {
    this.#resizes.flow()
  }

  /** The recorder takes more, or nothing at all any more. */
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

  /** No size and no pace any more; what the asset has said so far is shown. */
  stop(): void {
    this.#resizes.stop()
    this.#share.close()
    this.#output.flush()
  }

  /** Politely. */
  end(): void {
    this.#source?.end()
  }

  /** The socket is closed when this returns. */
  destroy(): void {
    this.#source?.destroy()
  }
}

/** The largest screen that the recording's model keeps; terminal, recording and viewers must agree on the size. */
function bounded(size: Size): Size {
  return { cols: Math.min(size.cols, 500), rows: Math.min(size.rows, 300) }
}
