import type { IncomingMessage, ServerResponse } from 'node:http'
import { EVIDENCE_PATH } from '../contract/link.ts'
import type { Clock } from '../domain/clock.ts'
import type { EvidenceSink } from '../domain/ports.ts'
import { type Rate, RateLimiter } from '../http/rate-limit.ts'
import { unavailable } from '../store/sql.ts'
import { sendJson } from './plain-http.ts'

/** A segment is at most 64 MiB before its frames' overhead; a wrap a few hundred bytes; a manifest as its format says. */
const LIMITS = { spr: 80 * 1024 * 1024, jwe: 64 * 1024, manifest: 8 * 1024 * 1024 } as const
const MIB = 1024 * 1024
/**
 * MiB of one recording: a session that prints at full speed stays below, and a gateway that was taken over fills the
 * archive of all sites no faster. What is refused stays in the gateway's spool and is sent again.
 */
const RECORDING_RATE: Rate = { burst: 8 * 1024, perSecond: 8 }
const PER_GATEWAY = 8
const IN_ALL = 64
/** No byte for so long ends an upload; the gateway has its spool copy and tries again. */
const STALL_MS = 30_000

const UUID = '[0-9a-f]{8}-[0-9a-f]{4}-[1-8][0-9a-f]{3}-[89ab][0-9a-f]{3}-[0-9a-f]{12}'
const OBJECT = new RegExp(
  `^${EVIDENCE_PATH}/((${UUID})/(?:(?:screen|input)/\\d{1,6}\\.(spr)|keys/(?:screen|input)-\\d{1,6}\\.(jwe)|(manifest)\\.jws))$`,
)

export interface EvidenceUploadDeps {
  clock: Clock
  /** MiB of one recording; RECORDING_RATE without it. */
  rate?: Rate
  sink: EvidenceSink
  /** Whether the recording is of a session that this gateway was granted. */
  owns(gateway: string, recording: string): Promise<boolean>
  /** The sink has taken the manifest and given its receipt. */
  finished(gateway: string, recording: string, manifestJws: string): Promise<void>
}

export class EvidenceUpload {
  readonly #deps: EvidenceUploadDeps
  readonly #running = new Map<string, number>()
  readonly #bytes: RateLimiter
  #all = 0

  constructor(deps: EvidenceUploadDeps) {
    this.#deps = deps
    this.#bytes = new RateLimiter(deps.rate ?? RECORDING_RATE, deps.clock)
  }

  /** Answers PUT /link/v1/evidence/...; the body goes straight into the sink, which checks length and hash. */
  async handle(gateway: string, request: IncomingMessage, response: ServerResponse): Promise<void> {
    const match = OBJECT.exec(request.url ?? '')
    if (!match) return sendJson(response, 404, { code: 'not-found' })
    const [, path = '', recording = '', spr, jwe] = match
    const kind = spr ? 'spr' : jwe ? 'jwe' : 'manifest'
    const length = Number(/^\d{1,12}$/.exec(request.headers['content-length'] ?? '')?.[0] ?? Number.NaN)
    const sha256 = request.headers['x-sallyport-sha256']
    if (!(length > 0) || typeof sha256 !== 'string' || !/^[0-9a-f]{64}$/.test(sha256))
      return sendJson(response, 400, { code: 'bad-upload' })
    if (length > LIMITS[kind]) return sendJson(response, 413, { code: 'too-large' })
    const mine = this.#running.get(gateway) ?? 0
    if (mine >= PER_GATEWAY || this.#all >= IN_ALL) return busy(response)
    this.#running.set(gateway, mine + 1)
    this.#all += 1
    request.setTimeout(STALL_MS, () => request.destroy())
    try {
      if (!(await this.#deps.owns(gateway, recording)))
        return sendJson(response, 403, { code: 'not-your-recording' })
      if (kind === 'manifest') await this.#manifest(gateway, recording, length, request, response)
      else {
        const wait = this.#bytes.take(recording, Math.max(1, length / MIB))
        if (wait > 0) return busy(response, wait)
        const result = await this.#deps.sink.put({ gatewayId: gateway, path, sha256, length, body: request })
        if (result === 'busy') return busy(response)
        const status = { stored: 201, same: 200, conflict: 409, mismatch: 422, full: 507 }[result]
        sendJson(response, status, { code: result })
      }
    } catch (error) {
      if (request.destroyed && !request.complete) return
      if (unavailable(error)) {
        response.setHeader('retry-after', '5')
        return sendJson(response, 503, { code: 'database-unavailable' })
      }
      throw error
    } finally {
      const left = (this.#running.get(gateway) ?? 1) - 1
      if (left > 0) this.#running.set(gateway, left)
      else this.#running.delete(gateway)
      this.#all -= 1
    }
  }

  async #manifest(
    gateway: string,
    recording: string,
    length: number,
    request: IncomingMessage,
    response: ServerResponse,
  ): Promise<void> {
    const chunks: Buffer[] = []
    let got = 0
    for await (const chunk of request as AsyncIterable<Buffer>) {
      got += chunk.length
      if (got > length) return sendJson(response, 400, { code: 'bad-upload' })
      chunks.push(chunk)
    }
    const jws = Buffer.concat(chunks).toString('latin1')
    if (got !== length) return sendJson(response, 422, { code: 'mismatch' })
    const result = await this.#deps.sink.finish({ gatewayId: gateway, recording, jws })
    if (result === null) return busy(response)
    if ('missing' in result) return sendJson(response, 409, { code: 'missing', missing: result.missing })
    if ('refused' in result) return sendJson(response, 422, { code: 'refused', reason: result.refused })
    await this.#deps.finished(gateway, recording, jws)
    response.writeHead(200, { 'content-type': 'text/plain', 'cache-control': 'no-store' })
    response.end(result.receipt)
  }
}

function busy(response: ServerResponse, seconds = 2): void {
  response.setHeader('retry-after', String(seconds))
  sendJson(response, 503, { code: 'busy' })
}
