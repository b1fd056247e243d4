import type { Stream } from '../../broker/domain/words.ts'
import { checkClientMessage, markerMessage } from '../format/rfb-message.ts'
import { factsMessage, RECORD_HEADER_BYTES, RecordEncoder } from '../format/rfb-record.ts'
import { ScreenMessages } from '../format/rfb-screen.ts'
import {
  type DesktopKeyframe,
  type DesktopRecorder,
  type DesktopRecorderOptions,
  RecordingRefused,
} from './api.ts'
import { failureOf } from './failure.ts'
import { MediaRecording } from './recording.ts'

/**
 * Opens the recording of one desktop session. When it settles, the first keyframe is in it, and what changes from then
 * on must be given to `frame`. Rejects when folders, keys or the keyframe cannot be had, and then no session may open.
 */
export async function openDesktopRecorder(options: DesktopRecorderOptions): Promise<DesktopRecorder> {
  const recorder = new Recorder(options)
  await recorder.open()
  return recorder
}

const SAMPLING_MS = 100

class Recorder extends MediaRecording<DesktopRecorderOptions, RecordEncoder> implements DesktopRecorder {
  position = 0
  /** What the open segment's screen looks like to a reader, so that nothing is written that no reader takes. */
  #screen = new ScreenMessages()
  /** Where the open segment's keyframe stands: with nothing after it there is nothing to rotate for. */
  #segmentPosition = 0
  /** A large picture must not be followed by the next one after every change. */
  #keyframeBytes = 0
  /** When the next segment's keyframe was asked for; null when none is. */
  #askedAtMs: number | null = null

  constructor(options: DesktopRecorderOptions) {
    const samplingMs = options.samplingMs ?? SAMPLING_MS
    super(options, {
      media: 'rfb-v1',
      samplingMs,
      content: () => new RecordEncoder(),
      // Pictures are packed already.
      deflateScreen: false,
    })
  }

  async open(): Promise<void> {
    await this.prepare()
    // Last of all: what changes after it has a recorder to go to.
    this.#beginScreen(await this.options.keyframe())
    this.inputStream.begin(this.now(), this.#inputFacts)
    this.begin()
  }

  frame(messages: readonly Uint8Array[]): boolean {
    this.mustBeOpen()
    const atMs = this.now()
    for (const message of messages) {
      this.#check(this.#screen.change(viewOf(message)))
      this.#record('screen', atMs, message)
      this.position += message.length
    }
    this.#considerCut(atMs)
    return this.mayGoOn()
  }

  input(message: Uint8Array): boolean {
    this.mustBeOpen()
    this.#check(checkClientMessage(viewOf(message)))
    const atMs = this.now()
    this.considerInputCut(atMs, this.#inputFacts)
    this.#record('input', atMs, message)
    return this.mayGoOn()
  }

  protected mark(text: string): void {
    if (text === '') return
    this.#record('screen', this.now(), markerMessage(text))
    this.position += text.length
  }

  protected isBehind(): boolean {
    return this.isAtCap()
  }

  protected progressed(): void {
    if (this.screenStream.segmentBytes > 0) this.#considerCut(this.now())
  }

  protected beforeFlush(): void {}

  protected stall(): string | null {
    const isStalled = this.#askedAtMs !== null && this.now() - this.#askedAtMs > this.limits.stallFailureMs
    return isStalled ? 'the screen does not give a whole picture of itself any more' : null
  }

  protected release(): void {
    this.#askedAtMs = null
  }

  #record(stream: Stream, atMs: number, message: Uint8Array): void {
    const into = stream === 'screen' ? this.screenStream : this.inputStream
    into.room(RECORD_HEADER_BYTES + message.length)
    into.add(atMs, (records, micros) => records.add(micros, message))
  }

  /** A message that no reader would take must not be shown either. */
  #check(read: { ok: true } | { ok: false; code: string; message: string }): void {
    if (read.ok) return
    const problem = `a message cannot be recorded: ${read.message} (${read.code})`
    this.fail(failureOf(new Error(problem), this.durableUntil()))
    throw new RecordingRefused(problem)
  }

  #considerCut(atMs: number): void {
    const { segmentBytes, segmentMs } = this.limits
    const { screenStream } = this
    const isOld = atMs - screenStream.segmentStartedAtMs >= segmentMs && this.position > this.#segmentPosition
    const isGrown = screenStream.segmentBytes >= Math.max(segmentBytes, 2 * this.#keyframeBytes)
    if (!(isOld || isGrown) || this.#askedAtMs !== null || !screenStream.isReady) return
    this.#askedAtMs = atMs
    void this.#cut()
  }

  /** What is given to `frame` until the picture has come stands before it, in the segment that ends. */
  async #cut(): Promise<void> {
    try {
      const keyframe = await this.options.keyframe()
      if (this.isOver) return
      this.#beginScreen(keyframe)
      this.#askedAtMs = null
      this.#segmentPosition = this.position
      this.progress()
    } catch (error) {
      if (!this.isOver) this.fail(failureOf(error, this.durableUntil()))
    }
  }

  #beginScreen({ width, height, messages }: DesktopKeyframe): void {
    const screen = new ScreenMessages()
    for (const message of messages) {
      const read = screen.keyframe(viewOf(message))
      if (!read.ok) throw new Error(`the keyframe cannot be recorded: ${read.message} (${read.code})`)
    }
    const incomplete = screen.incomplete()
    if (incomplete) throw new Error(`the keyframe cannot be recorded: ${incomplete.message}`)
    if (screen.width !== width || screen.height !== height)
      throw new Error('the keyframe cannot be recorded: its size is not that of its ServerInit')
    const atMs = this.now()
    this.#screen = screen
    this.screenStream.begin(atMs, (records, segment, micros, cut) => {
      records.add(micros, this.#facts('screen', segment))
      for (const message of messages) {
        const most = this.limits.chunkBytes
        if (records.length > 0 && records.length + message.length + RECORD_HEADER_BYTES > most) cut()
        records.add(micros, message)
      }
    })
    this.#keyframeBytes = this.screenStream.segmentBytes
  }

  readonly #inputFacts = (records: RecordEncoder, segment: number, micros: number) =>
    records.add(micros, this.#facts('input', segment))

  #facts(stream: Stream, segment: number): Buffer {
    return factsMessage({ ...this.facts(stream, segment), timestamp: this.startedAtSeconds })
  }
}

function viewOf(message: Uint8Array): Buffer {
  return Buffer.from(message.buffer, message.byteOffset, message.byteLength)
}
