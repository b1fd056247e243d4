import type { Stream } from '../domain/words.ts'

/** A live stream's chain head, as a gateway anchors it. Only heads that are on disk (fdatasync) are anchored. */
export interface AnchorHead {
  recording: string
  stream: Stream
  segment: number
  seq: number
  /** Hex. */
  c: string
}

const DOMAIN = Buffer.from('sallyport/anchor/v1\0', 'ascii')
const STREAM_NUMBER: Record<Stream, number> = { screen: 0, input: 1 }

/**
 * "sallyport/anchor/v1\0" || recording(16) || u8 stream || u32 segment || u32 seq || C: 77 bytes. The leaf of the
 * anchor's tree; heads are sorted by these bytes.
 */
export function anchorLeaf(head: AnchorHead): Buffer {
  const numbers = Buffer.alloc(9)
  numbers.writeUInt8(STREAM_NUMBER[head.stream], 0)
  numbers.writeUInt32BE(head.segment, 1)
  numbers.writeUInt32BE(head.seq, 5)
  const recording = Buffer.from(head.recording.replaceAll('-', ''), 'hex')
  const c = Buffer.from(head.c, 'hex')
  if (recording.length !== 16 || c.length !== 32) throw new TypeError('not an anchor head')
  return Buffer.concat([DOMAIN, recording, numbers, c])
}
