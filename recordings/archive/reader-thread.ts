import { parentPort, workerData } from 'node:worker_threads'
import type { JWK } from 'jose'
import { JWS_TYPES } from '../../broker/domain/grant.ts'
import type { Media } from '../format/header.ts'
import { decodeJws, JWS_LIMIT, jwsHash } from '../format/jws.ts'
import { type ManifestSegment, manifest as manifestSchema } from '../format/manifest.ts'
import { readMarker, SERVER } from '../format/rfb-message.ts'
import { readRecords } from '../format/rfb-record.ts'
import type { TrustFile } from '../format/trust.ts'
import { type KeyWrap, parseWrap, unwrapDataKey, wrapDataKey } from '../format/wrap.ts'
import { openPackage } from '../package/open-zip.ts'
import type { CheckResult, Verdict } from '../verify/report.ts'
import { verifyPackage } from '../verify/verify-package.ts'
import { type EvidenceKey, type EvidenceStore, manifestKey, segmentKey, wrapKey } from './evidence-store.ts'
import { openFolderStore } from './folder-store.ts'
import { type Opened, openSegment } from './open-segment.ts'
import { type SegmentScan, scanSegment } from './scan.ts'
import { ScreenText, type TextLine } from './screen-text.ts'

/**
 * The replay module: the one thread that holds the private replay key. Hashing, decrypting and searching happen here,
 * off the loop that carries sessions. It answers one request after another.
 */
export interface ThreadData {
  folder: string
  replayKey: JWK
}

export type ThreadRequest =
  | { task: 'scan'; recording: string; stream: 'screen' | 'input'; segment: number }
  | { task: 'open'; recording: string; segment: number; manifest: string | null }
  | {
      task: 'text'
      recording: string
      segments: number[]
      manifest: string | null
      afterMs: number
      limit: number
      search: string | null
    }
  | { task: 'markers'; recording: string; segments: number[]; manifest: string | null }
  | { task: 'rewrap'; recording: string; segment: number; recipient: RewrapRecipient }
  | { task: 'verify'; path: string; trust: TrustFile; key: JWK }

export interface RewrapRecipient {
  kty: 'EC'
  crv: 'P-256'
  x: string
  y: string
  kid: string
}

export interface Marker {
  tMs: number
  text: string
}

export type ThreadAnswer =
  | { ok: true; scan: SegmentScan }
  | { ok: true; media: Media; content: Uint8Array }
  | { ok: true; lines: TextLine[]; next: number | null }
  | { ok: true; markers: Marker[] }
  | { ok: true; wrap: KeyWrap }
  | { ok: true; verdict: Verdict; checks: CheckResult[] }
  | { ok: false; code: string }

type CastEvent = [number, string, string]

async function answer(store: EvidenceStore, key: JWK, request: ThreadRequest): Promise<ThreadAnswer> {
  switch (request.task) {
    case 'scan': {
      const scan = await scanSegment(
        store.read(segmentKey(request.recording, request.stream, request.segment)),
      )
      return typeof scan === 'string' ? { ok: false, code: scan } : { ok: true, scan }
    }
    case 'open': {
      const opened = await (await opener(store, key, request))(request.segment)
      // A copy on an ArrayBuffer of its own: a small Buffer lies in Node's shared pool, which must not be given away.
      return opened.ok ? { ok: true, media: opened.media, content: new Uint8Array(opened.content) } : opened
    }
    case 'text': {
      const lines: TextLine[] = []
      const wanted = request.search?.toLowerCase() ?? ''
      const text = new ScreenText()
      const open = await opener(store, key, request)
      for (const [index, number] of request.segments.entries()) {
        const opened = await open(number)
        if (!opened.ok) return opened
        // What a desktop shows is pictures.
        if (opened.media !== 'asciicast-v2') continue
        // A segment begins with a keyframe that repaints what stood there already: only the first one is read.
        for (const [t, code, data] of castEvents(opened.content, index > 0)) {
          if (code !== 'o') continue
          for (const line of text.feed(Math.round(t * 1000), data)) {
            if (line.tMs < request.afterMs || !line.text.toLowerCase().includes(wanted)) continue
            lines.push(line)
            if (lines.length >= request.limit) return { ok: true, lines, next: line.tMs + 1 }
          }
        }
      }
      const rest = text.rest()
      if (rest && rest.tMs >= request.afterMs && rest.text.toLowerCase().includes(wanted)) lines.push(rest)
      return { ok: true, lines, next: null }
    }
    case 'markers': {
      const markers: Marker[] = []
      const open = await opener(store, key, request)
      for (const number of request.segments) {
        const opened = await open(number)
        if (!opened.ok) return opened
        markers.push(...markersOf(opened))
      }
      return { ok: true, markers }
    }
    case 'rewrap': {
      const name = { recording: request.recording, stream: 'screen' as const, segment: request.segment }
      const wrap = parseWrap(await wrapText(store, request.recording, request.segment), name)
      if (!wrap.ok) return wrap
      const dataKey = await unwrapDataKey(wrap.value, key)
      if (!dataKey.ok) return dataKey
      return { ok: true, wrap: await wrapDataKey(dataKey.value, name, [request.recipient]) }
    }
    case 'verify': {
      const opened = await openPackage(request.path)
      if (!opened.ok) return opened
      try {
        const { verdict, checks } = await verifyPackage(opened.value, request.trust, { key: request.key })
        return { ok: true, verdict, checks }
      } finally {
        opened.value.close()
      }
    }
  }
}

async function wrapText(store: EvidenceStore, recording: string, segment: number): Promise<string> {
  // parseWrap refuses a longer one.
  return textOf(store, wrapKey(recording, 'screen', segment), 65_536)
}

async function textOf(store: EvidenceStore, key: EvidenceKey, limit: number): Promise<string> {
  let text = ''
  for await (const chunk of store.read(key)) {
    text += String(chunk)
    if (text.length > limit) break
  }
  return text
}

/**
 * Opens screen segments of one recording. Once its manifest has come, a segment is shown only when it is the one that
 * the manifest names, and the manifest only counts when it is the one that the broker took (`manifest`, its hash;
 * null while the recording is arriving). Codes: manifest-missing, manifest-other, segment-not-in-manifest, and those
 * of openSegment.
 */
async function opener(
  store: EvidenceStore,
  key: JWK,
  { recording, manifest: taken }: { recording: string; manifest: string | null },
): Promise<(segment: number) => Promise<Opened>> {
  let named: Map<number, ManifestSegment> | null = null
  let fault: string | null = null
  if ((await store.size(manifestKey(recording))) !== null) {
    const jws = await textOf(store, manifestKey(recording), JWS_LIMIT)
    const decoded = decodeJws(jws, JWS_TYPES.manifest, manifestSchema)
    if (!decoded.ok) fault = decoded.code
    else if (taken !== null && jwsHash(jws) !== taken) fault = 'manifest-other'
    else {
      const screen = decoded.value.payload.segments.filter((segment) => segment.stream === 'screen')
      named = new Map(screen.map((segment) => [segment.number, segment]))
    }
  } else if (taken !== null) fault = 'manifest-missing'
  return async (segment) => {
    if (fault !== null) return { ok: false, code: fault }
    const one = named?.get(segment) ?? null
    if (named && !one) return { ok: false, code: 'segment-not-in-manifest' }
    const wrap = await wrapText(store, recording, segment)
    const file = store.read(segmentKey(recording, 'screen', segment))
    return openSegment(file, wrap, { recording, stream: 'screen', segment }, key, one)
  }
}

function markersOf({ media, content }: { media: Media; content: Buffer }): Marker[] {
  if (media === 'asciicast-v2') {
    return [...castEvents(content, false)]
      .filter(([, code]) => code === 'm')
      .map(([t, , data]) => ({ tMs: Math.round(t * 1000), text: data.slice(0, 300) }))
  }
  const records = readRecords(content)
  return (records.ok ? records.value : []).flatMap(({ micros, message }) => {
    const marker = message[0] === SERVER.marker ? readMarker(message) : null
    return marker?.ok ? [{ tMs: Math.round(micros / 1000), text: marker.value.slice(0, 300) }] : []
  })
}

/** The events of an asciicast file; the first output, the keyframe, left out on demand. */
function* castEvents(cast: Buffer, skipKeyframe: boolean): Generator<CastEvent> {
  let start = cast.indexOf(0x0a) + 1
  let skip = skipKeyframe
  while (start > 0 && start < cast.length) {
    let end = cast.indexOf(0x0a, start)
    if (end < 0) end = cast.length
    const event = JSON.parse(cast.toString('utf8', start, end)) as CastEvent
    start = end + 1
    if (skip && event[1] === 'o') skip = false
    else yield event
  }
}

const port = parentPort
if (port) {
  const { folder, replayKey } = workerData as ThreadData
  const store = openFolderStore(folder, 0)
  let queue: Promise<void> = Promise.resolve()
  port.on('message', ({ id, request }: { id: number; request: ThreadRequest }) => {
    queue = queue.then(async () => {
      let result: ThreadAnswer
      try {
        result = await answer(await store, replayKey, request)
      } catch (error) {
        const code = (error as NodeJS.ErrnoException).code
        result = { ok: false, code: code === 'ENOENT' ? 'not-stored' : 'read-failed' }
      }
      const transfer = 'content' in result && result.ok ? [result.content.buffer as ArrayBuffer] : []
      port.postMessage({ id, result }, transfer)
    })
  })
}
