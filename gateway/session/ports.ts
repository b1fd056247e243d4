import type { GatewayEvent } from '../../broker/contract/link.ts'
import type { Clock } from '../../broker/domain/clock.ts'
import type { SessionEnd } from '../../broker/domain/words.ts'
import type { ClosedRecording, SessionRecorder } from '../../recordings/recorder/api.ts'
import type { SshFailure } from '../ssh/failure.ts'
import type { TypingBoard } from './fair-share.ts'
import type { SourceEvents, TerminalSource } from './source.ts'

/** What the session needs of the world around it. */
export interface SessionPorts {
  clock: Clock
  /** Where all sessions of this gateway see each other type. */
  typing: TypingBoard
  /** Reaches the asset that the grant names; `signal` gives up at once. */
  open(
    size: { cols: number; rows: number },
    events: SourceEvents,
    signal: AbortSignal,
  ): Promise<
    | {
        ok: true
        opened: {
          source: TerminalSource
          identity: { algorithm: string; fingerprint: string }
          algorithms: Record<string, string>
        }
      }
    | { ok: false; failure: SshFailure }
  >
  /** Starts the recording. Called when the asset has proven what it is, before anything of it is read. */
  record(
    target: { algorithm: string; fingerprint: string },
    size: { cols: number; rows: number },
  ): Promise<SessionRecorder>
  report(event: GatewayEvent): void
  /**
   * Sockets are closed and the recording is sealed; null when there is none, or it could not be sealed. `late`: it is
   * still being sealed, and settles as that ends.
   */
  closed(recording: ClosedRecording | null, late: Promise<ClosedRecording | null> | null): void
}

export interface Command {
  command: 'hold' | 'release' | 'stop' | 'end' | 'revoke' | 'leave'
  end: SessionEnd
  by: string
  cause: string
  /** When the gateway received it, on `clock.monotonic()`. */
  receivedAt: number
}

export interface CommandDone {
  ok: boolean
  code: string | null
  /** From the command's arrival to the effect; for a stop, to the asset's socket being closed. */
  tookMs: number | null
}
