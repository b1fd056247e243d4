import { createHash } from 'node:crypto'
import { createReadStream } from 'node:fs'
import { stat } from 'node:fs/promises'
import { Agent, request } from 'node:https'
import { Readable } from 'node:stream'
import { pipeline } from 'node:stream/promises'
import { setTimeout as delay } from 'node:timers/promises'
import { EVIDENCE_PATH } from '../../broker/contract/link.ts'
import type { GatewayIdentity } from '../identity/identity.ts'
import { LINK_NAME } from '../link/link-name.ts'

const ANSWER_LIMIT = 256 * 1024
const STALL_MS = 30_000
/**
 * What evidence may take of the machine while somebody works through it: sending a segment costs as much as the session
 * that filled it, and the spool is safe where it is. Far above what people's terminals bring.
 */
const BESIDE_SESSIONS_BYTES_PER_SECOND = 8 * 1024 * 1024
const PIECE = 64 * 1024

export interface UploadAnswer {
  status: number
  body: string
}

/** PUTs evidence to a broker's link port over the gateway's own certificate. */
export class Uploader {
  readonly #agent: Agent
  readonly #isBusy: () => boolean

  /** `isBusy`: somebody works through this gateway now. */
  constructor(identity: GatewayIdentity, isBusy: () => boolean) {
    this.#isBusy = isBusy
    this.#agent = new Agent({
      keepAlive: true,
      maxSockets: 4,
      ca: identity.tls.ca,
      cert: identity.tls.certificate,
      key: identity.tls.key.reveal(),
      minVersion: 'TLSv1.3',
      servername: LINK_NAME,
    })
  }

  close(): void {
    this.#agent.destroy()
  }

  /** Streams a file; read twice (hash, then body), never held in memory. */
  async file(broker: string, path: string, from: string): Promise<UploadAnswer> {
    const { size } = await stat(from)
    const hash = createHash('sha256')
    await pipeline(createReadStream(from, { end: Math.max(0, size - 1) }), hash)
    return await this.#put(
      broker,
      path,
      size,
      hash.digest('hex'),
      Readable.from(
        this.#paced(createReadStream(from, { end: Math.max(0, size - 1), highWaterMark: PIECE })),
      ),
    )
  }

  async *#paced(chunks: AsyncIterable<Buffer>): AsyncGenerator<Buffer> {
    for await (const chunk of chunks) {
      yield chunk
      if (this.#isBusy()) await delay((chunk.length / BESIDE_SESSIONS_BYTES_PER_SECOND) * 1000)
    }
  }

  async text(broker: string, path: string, text: string): Promise<UploadAnswer> {
    const bytes = Buffer.from(text)
    const sha256 = createHash('sha256').update(bytes).digest('hex')
    return await this.#put(broker, path, bytes.length, sha256, Readable.from([bytes]))
  }

  #put(broker: string, path: string, length: number, sha256: string, body: Readable): Promise<UploadAnswer> {
    const url = new URL(broker)
    return new Promise((done, failed) => {
      const call = request(
        {
          agent: this.#agent,
          method: 'PUT',
          host: url.hostname,
          port: Number(url.port || 443),
          path: `${EVIDENCE_PATH}/${path}`,
          servername: LINK_NAME,
          headers: { 'content-length': length, 'x-sallyport-sha256': sha256 },
        },
        (answer) => {
          const chunks: Buffer[] = []
          let got = 0
          answer.on('data', (chunk: Buffer) => {
            got += chunk.length
            if (got > ANSWER_LIMIT) answer.destroy(new Error('answer too long'))
            else chunks.push(chunk)
          })
          answer.on('end', () =>
            done({ status: answer.statusCode ?? 0, body: Buffer.concat(chunks).toString('utf8') }),
          )
          answer.on('error', failed)
        },
      )
      call.setTimeout(STALL_MS, () => call.destroy(new Error('upload stalled')))
      call.on('error', failed)
      pipeline(body, call).catch(failed)
    })
  }
}
