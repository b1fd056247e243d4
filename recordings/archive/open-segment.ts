import { createHash } from 'node:crypto'
import type { JWK } from 'jose'
import { matchesCommitment } from '../format/data-key.ts'
import { FrameOpener } from '../format/frame-opener.ts'
import type { Media } from '../format/header.ts'
import type { ManifestSegment } from '../format/manifest.ts'
import { SegmentReader } from '../format/segment-reader.ts'
import { parseWrap, unwrapDataKey } from '../format/wrap.ts'

export type Opened =
  | { ok: true; media: Media; content: Buffer; t0Ms: number; t1Ms: number }
  | { ok: false; code: string }

/** An opened segment is at most what a segment may hold (64 MiB under flood) with escaping on top. */
const OPENED_LIMIT = 512 * 1024 * 1024

/**
 * Opens one segment: unwraps its data key, checks the commitment, verifies the chain and decrypts. The result is the
 * segment's whole content, an asciicast v2 file or the records of a desktop. Nothing comes out of a segment whose chain is broken, nor, where `named` is given
 * (what the manifest of a finished recording says), out of one that is sound in itself but is another than the
 * manifest's: `segment-not-the-manifests`. Anybody can make such a segment, the keys it is sealed to are public.
 */
export async function openSegment(
  chunks: AsyncIterable<Buffer>,
  wrapJson: string,
  name: { recording: string; stream: 'screen' | 'input'; segment: number },
  key: JWK,
  named: Pick<ManifestSegment, 'bytes' | 'sha256' | 'hh' | 'last_c'> | null = null,
): Promise<Opened> {
  const wrap = parseWrap(wrapJson, name)
  if (!wrap.ok) return wrap
  const dataKey = await unwrapDataKey(wrap.value, key)
  if (!dataKey.ok) return dataKey
  const opener = new FrameOpener(dataKey.value)
  const reader = new SegmentReader()
  const parts: Buffer[] = []
  let size = 0
  let t0Ms: number | null = null
  let committed = false
  const hash = createHash('sha256')
  let toHash = named?.bytes ?? 0
  for await (const chunk of chunks) {
    reader.push(chunk)
    if (toHash > 0) hash.update(chunk.subarray(0, toHash))
    toHash -= Math.min(toHash, chunk.length)
    if (!committed && reader.header) {
      const { header } = reader
      if (
        header.recording !== name.recording ||
        header.stream !== name.stream ||
        header.segment !== name.segment
      ) {
        return { ok: false, code: 'segment-foreign' }
      }
      if (!matchesCommitment(dataKey.value, header.dek_commitment))
        return { ok: false, code: 'dek-commitment' }
      committed = true
    }
    for (const frame of reader.frames()) {
      t0Ms ??= frame.t0Ms
      const plain = opener.open(frame)
      if (!plain.ok) return plain
      size += plain.value.length
      if (size > OPENED_LIMIT) return { ok: false, code: 'segment-too-large' }
      parts.push(plain.value)
    }
    if (reader.fault) return { ok: false, code: reader.fault.code }
  }
  reader.end()
  if (!reader.header) return { ok: false, code: 'header-missing' }
  if (
    named &&
    (reader.goodBytes !== named.bytes ||
      hash.digest('hex') !== named.sha256 ||
      reader.hh?.toString('hex') !== named.hh ||
      reader.head?.toString('hex') !== named.last_c)
  ) {
    return { ok: false, code: 'segment-not-the-manifests' }
  }
  return {
    ok: true,
    media: reader.header.media,
    content: Buffer.concat(parts),
    t0Ms: t0Ms ?? reader.header.clock.t_ms,
    t1Ms: reader.lastT1Ms,
  }
}
