import type { CLOSE, TerminalDown, TerminalUp } from '../../broker/contract/terminal.ts'
import type { Clock } from '../../broker/domain/clock.ts'
import type { PinnedIdentity } from '../../broker/domain/grant.ts'
import type { SessionEnd } from '../../broker/domain/words.ts'
import type { SessionRecorder } from '../../recordings/recorder/api.ts'
import type { Audience } from './audience.ts'
import type { Browser } from './browser.ts'
import type { RecordingSide } from './recording-side.ts'

/** A browser's place in a session, whatever it is shown there. */
export interface Seat {
  readonly browser: Browser
  tell(message: TerminalDown): void
  /** It has shown so many bytes more. */
  acknowledge(bytes: number): void
  /** Says no more to it. */
  close(code: (typeof CLOSE)[keyof typeof CLOSE], reason: string): void
  /** The socket is gone, or goes at once. */
  drop(): void
}

/** What every recording is to the session, whatever is recorded. */
export type Recording = Pick<
  SessionRecorder,
  'marker' | 'onDrain' | 'heads' | 'addGrant' | 'close' | 'failed'
>

/** What a medium tells of the asset beside what is shown and typed. */
export interface AssetEvents {
  /** The asset tried to open something of its own; it was refused. */
  channelRefused(channel: string): void
  /** Something else than the pinned asset answered, to a connection that the session can do without. */
  identityChanged(seen: PinnedIdentity): void
  /**
   * Once, after which nothing else comes. `seen`: what the asset showed instead of its pinned identity; `message`: a
   * sentence that says more than the end.
   */
  closed(end: SessionEnd, more?: { seen?: PinnedIdentity | undefined; message?: string | null }): void
}

export type Reached =
  | {
      ok: true
      /** Null where an exception allows an asset that cannot prove who it is. */
      identity: PinnedIdentity | null
      algorithms: Record<string, string>
    }
  | { ok: false; end: SessionEnd; message: string; seen?: PinnedIdentity }

/** A message of the person whose session it is, apart from what the audience answers itself. */
export type Said = Exclude<TerminalUp, { type: 'ack' | 'ping' }>

/** What a medium is given of the session that it belongs to. */
export interface MediumHost<S extends Seat> {
  clock: Clock
  session: string
  audience: Audience<S>
  recording: RecordingSide
  /** Whether what the vendor does reaches the asset. */
  mayAct(): boolean
  isEnding(): boolean
  /** The person did something. */
  acted(): void
}

/**
 * What differs between kinds of session: what the asset shows on its way into the recording and to the browsers, what
 * the person does on its way back, and the pace at which all of them can go on. Permission, time, orders and the end
 * are the session's.
 */
export interface Medium<S extends Seat> {
  /** The asset is reached, and was not taken away. */
  readonly isOpen: boolean
  /** From the asset and to it. */
  readonly bytes: { out: number; in: number }
  seat(browser: Browser): S
  /** Reaches the asset; nothing of it is read before `begin`. */
  reach(events: AssetEvents, signal: AbortSignal): Promise<Reached>
  record(identity: PinnedIdentity | null): Promise<Recording>
  /** It is recorded now: shows it. */
  begin(): void
  /** The person's first word, before the asset is reached. */
  startsWith(message: Said): void
  /** Any later one but `leave`. */
  said(message: Said): void
  /** Another browser of the person. */
  ownerCame(seat: S): void
  /** Its `start` has come. */
  ownerIsBack(seat: S, message: Said): void
  /** Whatever the person held down is let go. */
  ownerGone(): void
  watcherCame(seat: S): void
  /** Binary frames of the person's browser, and of a watcher's. */
  typed(seat: S, bytes: Buffer): void
  watched(seat: S, bytes: Buffer): void
  /** What the person may do has changed. */
  stateChanged(): void
  /** The recorder takes more, or nothing at all any more. */
  recorderFree(): void
  pace(): void
  /** Watchers that fell behind are caught up; now and then. */
  beat(): void
  /** No size and no pace any more; what the asset has said so far is shown. */
  stop(): void
  /** Politely. */
  end(): void
  /** The socket is closed when this returns. */
  destroy(): void
}
