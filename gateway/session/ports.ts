import type { GatewayEvent } from '../../broker/contract/link.ts'
import type { Clock } from '../../broker/domain/clock.ts'
import type { SessionEnd } from '../../broker/domain/words.ts'
import type { ClosedRecording } from '../../recordings/recorder/api.ts'
import type { Medium, MediumHost, Seat } from './medium.ts'

/** What the session needs of the world around it. */
export interface SessionPorts<S extends Seat> {
  clock: Clock
  /** What is shown in it, and how the asset is reached and recorded. */
  medium(host: MediumHost<S>): Medium<S>
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
