import { join } from 'node:path'
import { isId } from '../../broker/domain/ids.ts'
import type { Stream } from '../../broker/domain/words.ts'

/**
 * A recording in the spool, the names being those of the store and of the package:
 *
 *     <recording>/session.json         what a recovery must know and no segment says
 *     <recording>/screen/0.spr ...     segments, input/ likewise
 *     <recording>/keys/screen-0.jwe    the wrapped data key, on disk before chunk 0
 *     <recording>/anchors.ndjson       inclusion proofs of its heads
 *     <recording>/manifest.jws         last of all: with it the recording is over
 */
export function recordingFolder(spool: string, recording: string): string {
  if (!isId(recording)) throw new TypeError('a recording is named by its UUID')
  return join(spool, recording)
}

export const sessionFile = (folder: string) => join(folder, 'session.json')
export const anchorsFile = (folder: string) => join(folder, 'anchors.ndjson')
export const manifestFile = (folder: string) => join(folder, 'manifest.jws')
export const keysFolder = (folder: string) => join(folder, 'keys')
export const keyObject = (stream: Stream, segment: number) => `${stream}-${segment}.jwe`
export const segmentFile = (folder: string, stream: Stream, segment: number) =>
  join(folder, stream, `${segment}.spr`)

const SEGMENT = /^(0|[1-9][0-9]{0,5})\.spr$/

/** The number of a segment file, or null for any other name. */
export function segmentNumber(name: string): number | null {
  const match = SEGMENT.exec(name)
  return match ? Number(match[1]) : null
}
