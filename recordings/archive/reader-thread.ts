import { parentPort, workerData } from 'node:worker_threads'
import type { JWK } from 'jose'
import type { TrustFile } from '../format/trust.ts'
import { type KeyWrap, parseWrap, unwrapDataKey, wrapDataKey } from '../format/wrap.ts'
import { openPackage } from '../package/open-zip.ts'
import type { CheckResult, Verdict } from '../verify/report.ts'
import { verifyPackage } from '../verify/verify-package.ts'
import { type EvidenceStore, segmentKey, wrapKey } from './evidence-store.ts'
import { openFolderStore } from './folder-store.ts'
import { openSegment } from './open-segment.ts'
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
  | { task: 'open'; recording: string; segment: number }
  | {
      task: 'text'
      recording: string
      segments: number[]
      afterMs: number
      limit: number
      search: string | null
    }
  | { task: 'markers'; recording: string; segments: number[] }
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
  | { ok: true; cast: Uint8Array }
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
      const opened = await open(store, key, request.recording, request.segment)
      // A copy on an ArrayBuffer of its own: a small Buffer lies in Node's shared pool, which must not be given away.
      return opened.ok ? { ok: true, cast: new Uint8Array(opened.cast) } : opened
    }
    case 'text': {
      const lines: TextLine[] = []
      const wanted = request.search?.toLowerCase() ?? ''
      const text = new ScreenText()
      for (const [index, number] of request.segments.entries()) {
        const opened = await open(store, key, request.recording, number)
        if (!opened.ok) return opened
        // A segment begins with a keyframe that repaints what stood there already: only the first one is read.
        for (const [t, code, data] of castEvents(opened.cast, index > 0)) {
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
      for (const number of request.segments) {
        const opened = await open(store, key, request.recording, number)
        if (!opened.ok) return opened
        for (const [t, code, data] of castEvents(opened.cast, false)) {
          if (code === 'm') markers.push({ tMs: Math.round(t * 1000), text: data.slice(0, 300) })
        }
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
  let wrap = ''
  for await (const chunk of store.read(wrapKey(recording, 'screen', segment))) {
    wrap += String(chunk)
    // parseWrap refuses it by its length.
    if (wrap.length > 65_536) break
  }
  return wrap
}

async function open(store: EvidenceStore, key: JWK, recording: string, segment: number) {
  const wrap = await wrapText(store, recording, segment)
  return openSegment(
    store.read(segmentKey(recording, 'screen', segment)),
    wrap,
    { recording, stream: 'screen', segment },
    key,
  )
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
      const transfer = 'cast' in result && result.ok ? [result.cast.buffer as ArrayBuffer] : []
      port.postMessage({ id, result }, transfer)
    })
  })
}
