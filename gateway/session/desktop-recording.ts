import type { DesktopKeyframe, DesktopRecorder, RecordingFailure } from '../../recordings/recorder/api.ts'
import type { TileEncoder } from '../desktop/encode/tile-encoder.ts'
import { DesktopFrames } from '../desktop/frames.ts'
import type { Screen } from '../desktop/screen/screen.ts'
import type { Recording } from './medium.ts'

export interface DesktopRecordingHost {
  /** The desktop's name, for whoever plays the recording. */
  name: string
  screen: Screen
  encoder: TileEncoder
  /** Opens the recorder; it asks for the whole screen by itself, now and later. */
  open(keyframe: () => Promise<DesktopKeyframe>): Promise<DesktopRecorder>
  /** As the session gives a recorder something: false when it is full, and never a refusal. */
  take(give: () => boolean): boolean
  /** It is full: what comes from the asset has to wait. */
  full(): void
}

/**
 * The recording of a desktop: the screen in samples, and what the person did as it was sent. A recorder that is full
 * gets no further sample until it has room; the next one then shows what has changed since.
 */
export class DesktopRecording implements Recording {
  readonly #recorder: DesktopRecorder
  readonly #frames: DesktopFrames
  readonly failed: Promise<RecordingFailure>
  #drained: () => void = () => {}

  /** Rejects as the recorder's opening does. */
  static async open(host: DesktopRecordingHost): Promise<DesktopRecording> {
    const broken = Promise.withResolvers<RecordingFailure>()
    const frames = new DesktopFrames(host.screen, host.encoder, {
      name: host.name,
      failed: ({ message }) => broken.resolve({ code: 'internal', message, atMs: 0 }),
    })
    try {
      const recorder = await host.open(() => frames.keyframe())
      return new DesktopRecording(host, recorder, frames, broken.promise)
    } catch (error) {
      await frames.close()
      throw error
    }
  }

  private constructor(
    host: DesktopRecordingHost,
    recorder: DesktopRecorder,
    frames: DesktopFrames,
    broken: Promise<RecordingFailure>,
  ) {
    this.#recorder = recorder
    this.#frames = frames
    this.failed = Promise.race([recorder.failed, broken])
    recorder.onDrain(() => {
      frames.resume()
      this.#drained()
    })
    frames.start((messages) => {
      const hasRoom = host.take(() => recorder.frame(messages))
      if (!hasRoom) host.full()
      return hasRoom
    })
  }

  /** What the person did, before it goes to the asset. False: nothing more until it drains. */
  input(message: Uint8Array): boolean {
    return this.#recorder.input(message)
  }

  marker(text: string): void {
    this.#recorder.marker(text)
  }

  onDrain(run: () => void): void {
    this.#drained = run
  }

  heads(): ReturnType<Recording['heads']> {
    return this.#recorder.heads()
  }

  addGrant(...given: Parameters<Recording['addGrant']>): Promise<void> {
    return this.#recorder.addGrant(...given)
  }

  /** With what has changed since the last sample. */
  async close(end: Parameters<Recording['close']>[0]): ReturnType<Recording['close']> {
    await this.#frames.sample()
    await this.#frames.close()
    return await this.#recorder.close(end)
  }
}
