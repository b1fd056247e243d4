import { request as httpRequest, type IncomingMessage } from 'node:http'
import { request as httpsRequest } from 'node:https'
import { rootCertificates } from 'node:tls'

export interface OutboundOptions {
  /** PEM certificates trusted besides the public ones, for a provider under the plant's own CA. */
  ca?: string
  /** For the demo's composition only: plain HTTP to localhost. */
  allowHttpLocalhost?: boolean
}

const TIMEOUT_MS = 10_000
const MAX_BYTES = 1_048_576

/**
 * `fetch` for one identity provider: certificates verified against the public roots and its own CA, no redirects,
 * ten seconds, one megabyte. Node's global fetch takes no CA of its own per call.
 */
export function outboundFetch(options: OutboundOptions) {
  return async (input: string | URL, init: FetchInit = {}): Promise<Response> => {
    const url = new URL(input)
    const plain =
      options.allowHttpLocalhost === true && url.protocol === 'http:' && url.hostname === 'localhost'
    if (url.protocol !== 'https:' && !plain) throw new TypeError(`not HTTPS: ${url.origin}`)
    const body =
      init.body === undefined || init.body === null ? null : Buffer.from(bodyText(init.body), 'utf8')
    const headers: Record<string, string> = Object.fromEntries(
      new Headers(init.headers as HeadersInit).entries(),
    )
    if (body) {
      headers['content-length'] = String(body.length)
      headers['content-type'] ??= 'application/x-www-form-urlencoded;charset=UTF-8'
    }
    return new Promise((resolve, reject) => {
      const outgoing = (plain ? httpRequest : httpsRequest)(
        url,
        {
          method: init.method ?? 'GET',
          headers,
          agent: false,
          signal: AbortSignal.any([AbortSignal.timeout(TIMEOUT_MS), ...(init.signal ? [init.signal] : [])]),
          ...(plain
            ? {}
            : { rejectUnauthorized: true, ...(options.ca ? { ca: [...rootCertificates, options.ca] } : {}) }),
        },
        (incoming) => {
          answer(incoming).then(resolve, reject)
        },
      )
      outgoing.on('error', reject)
      outgoing.end(body ?? undefined)
    })
  }
}

interface FetchInit {
  method?: string
  headers?: unknown
  body?: unknown
  signal?: AbortSignal | null
}

function bodyText(body: unknown): string {
  if (typeof body === 'string') return body
  if (body instanceof URLSearchParams) return body.toString()
  throw new TypeError('only text and form bodies go out')
}

async function answer(incoming: IncomingMessage): Promise<Response> {
  const chunks: Buffer[] = []
  let length = 0
  for await (const chunk of incoming as AsyncIterable<Buffer>) {
    length += chunk.length
    if (length > MAX_BYTES) {
      incoming.destroy()
      throw new RangeError('the answer is too large')
    }
    chunks.push(chunk)
  }
  const status = incoming.statusCode ?? 502
  const headers = new Headers()
  for (const [name, value] of Object.entries(incoming.headers)) {
    for (const one of [value ?? []].flat()) headers.append(name, one)
  }
  const bodiless = status === 204 || status === 304
  return new Response(bodiless ? null : Buffer.concat(chunks), { status, headers })
}
