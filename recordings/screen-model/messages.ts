import type { Keyframe } from './screen.ts'

/**
 * Output goes to the model in blocks of this size when there is much of it; they come back to be filled again. Waking
 * another thread costs as much as recording 16 KiB does, so there are few of them.
 */
export const BLOCK_BYTES = 256 * 1024

/** Towards the model thread. Ids are the sender's own: each port has its sessions to itself. */
export type ModelRequest =
  | { type: 'create'; id: number; cols: number; rows: number }
  | { type: 'feed'; id: number; bytes: Uint8Array<ArrayBuffer> }
  | { type: 'resize'; id: number; cols: number; rows: number }
  | { type: 'keyframe'; id: number; request: number }
  | { type: 'dispose'; id: number }

export type ModelReply =
  /** Everything up to `position` has been parsed. `blocks`: what was fed, given back to be filled again. */
  | { type: 'ack'; id: number; position: number; blocks: Uint8Array<ArrayBuffer>[] }
  | { type: 'keyframe'; id: number; request: number; keyframe: Keyframe }
  /** The emulator failed on this session's output and starts again from an empty screen. */
  | { type: 'fault'; id: number; position: number; message: string }
