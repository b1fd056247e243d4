import { join } from 'node:path'
import type { JsonWebKeyPublic } from '../../broker/domain/grant.ts'
import type { Stream } from '../../broker/domain/words.ts'
import { newDataKey } from '../format/data-key.ts'
import { wrapDataKey } from '../format/wrap.ts'
import { keyObject, keysFolder } from '../spool/layout.ts'
import type { Disk } from './disk.ts'

/** A data key whose wrap is on disk: chunk 0 may be written. */
export interface SegmentKey {
  dataKey: Buffer
  object: string
  path: string
}

export interface KeySource {
  disk: Disk
  folder: string
  recording: string
  stream: Stream
  /** Public keys only: taking the gateway later opens no old recording. */
  recipients: readonly JsonWebKeyPublic[]
}

export async function prepareSegmentKey(source: KeySource, segment: number): Promise<SegmentKey> {
  const dataKey = newDataKey()
  const name = { recording: source.recording, stream: source.stream, segment }
  const wrap = await wrapDataKey(dataKey, name, source.recipients)
  const object = keyObject(source.stream, segment)
  const path = join(keysFolder(source.folder), object)
  await source.disk.put(path, JSON.stringify(wrap))
  return { dataKey, object, path }
}
