import { Worker } from 'node:worker_threads'
import type { JWK } from 'jose'
import type { Secret } from '../../broker/domain/secret.ts'
import type { Media } from '../format/header.ts'
import type { TrustFile } from '../format/trust.ts'
import type { KeyWrap } from '../format/wrap.ts'
import type { CheckResult, Verdict } from '../verify/report.ts'
import type { Marker, RewrapRecipient, ThreadAnswer, ThreadData, ThreadRequest } from './reader-thread.ts'
import type { SegmentScan } from './scan.ts'
import type { TextLine } from './screen-text.ts'

/** At most this many requests wait for the thread; more are refused rather than queued without end. */
const QUEUE_LIMIT = 64

export type Answered<T> = ({ ok: true } & T) | { ok: false; code: string }

export interface Replay {
  scan(
    recording: string,
    stream: 'screen' | 'input',
    segment: number,
  ): Promise<Answered<{ scan: SegmentScan }>>
  /**
   * The content of one screen segment, verified on the way. `manifest` here and below is the hash of the manifest that
   * was taken for the recording, null while it is arriving.
   */
  open(
    recording: string,
    segment: number,
    manifest: string | null,
  ): Promise<Answered<{ media: Media; content: Uint8Array }>>
  text(
    recording: string,
    segments: number[],
    ask: { afterMs: number; limit: number; search: string | null; manifest: string | null },
  ): Promise<Answered<{ lines: TextLine[]; next: number | null }>>
  markers(
    recording: string,
    segments: number[],
    manifest: string | null,
  ): Promise<Answered<{ markers: Marker[] }>>
  /** The segment's data key, wrapped anew to somebody else. */
  rewrap(recording: string, segment: number, recipient: RewrapRecipient): Promise<Answered<{ wrap: KeyWrap }>>
  /** Runs the offline verifier over a package file. */
  verify(
    path: string,
    trust: TrustFile,
    key: JWK,
  ): Promise<Answered<{ verdict: Verdict; checks: CheckResult[] }>>
  close(): Promise<void>
}

export type PackageRecipient = Omit<RewrapRecipient, 'kid'> & { kid?: string | undefined }

/** Starts the replay thread. When it dies, what waited for it fails with `replay-lost` and a new one is started. */
export function startReplay(folder: string, replayKey: Secret<JWK>): Replay {
  let next = 0
  let closed = false
  const waiting = new Map<number, (answer: ThreadAnswer) => void>()
  let thread = start()

  function start(): Worker {
    const data: ThreadData = { folder, replayKey: replayKey.reveal() }
    const worker = new Worker(new URL('./reader-thread.ts', import.meta.url), {
      workerData: data,
      // The key reaches the thread as data only: nothing of this process's environment does.
      env: {},
      stdout: false,
    })
    worker.on('message', ({ id, result }: { id: number; result: ThreadAnswer }) => {
      waiting.get(id)?.(result)
      waiting.delete(id)
    })
    worker.on('error', () => undefined)
    worker.once('exit', () => {
      for (const settle of waiting.values()) settle({ ok: false, code: 'replay-lost' })
      waiting.clear()
      if (!closed) thread = start()
    })
    worker.unref()
    return worker
  }

  function ask(request: ThreadRequest): Promise<ThreadAnswer> {
    if (closed || waiting.size >= QUEUE_LIMIT) return Promise.resolve({ ok: false, code: 'replay-busy' })
    const id = next++
    return new Promise((settle) => {
      waiting.set(id, settle)
      thread.postMessage({ id, request })
    })
  }

  return {
    scan: (recording, stream, segment) =>
      ask({ task: 'scan', recording, stream, segment }) as Promise<Answered<{ scan: SegmentScan }>>,
    open: (recording, segment, manifest) =>
      ask({ task: 'open', recording, segment, manifest }) as Promise<
        Answered<{ media: Media; content: Uint8Array }>
      >,
    text: (recording, segments, options) =>
      ask({ task: 'text', recording, segments, ...options }) as Promise<
        Answered<{ lines: TextLine[]; next: number | null }>
      >,
    markers: (recording, segments, manifest) =>
      ask({ task: 'markers', recording, segments, manifest }) as Promise<Answered<{ markers: Marker[] }>>,
    rewrap: (recording, segment, recipient) =>
      ask({ task: 'rewrap', recording, segment, recipient }) as Promise<Answered<{ wrap: KeyWrap }>>,
    verify: (path, trust, key) =>
      ask({ task: 'verify', path, trust, key }) as Promise<
        Answered<{ verdict: Verdict; checks: CheckResult[] }>
      >,
    async close() {
      closed = true
      await thread.terminate()
    },
  }
}
