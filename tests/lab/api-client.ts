import { request as httpRequest } from 'node:http'
import { request as httpsRequest } from 'node:https'
import type { Answer, BodyInput, Params, QueryInput, RouteKey } from '../../broker/contract/api/index.ts'
import { SoftwareAuthenticator } from './software-authenticator.ts'

export interface ApiAnswer<T> {
  status: number
  headers: Record<string, string | string[] | undefined>
  body: T
  raw: Buffer
}

type Ask<K extends RouteKey> = (Params<K> extends undefined ? object : { params: Params<K> }) &
  (undefined extends QueryInput<K> ? { query?: QueryInput<K> } : { query?: QueryInput<K> }) &
  (BodyInput<K> extends undefined ? object : { body: BodyInput<K> })

/** Where the server really listens: an address, or a Unix socket that leads to it. */
export type ConnectTo = { host: string; port: number } | { socketPath: string }

/** A person with a browser's manners and no browser: cookies, CSRF token, Origin, a software passkey. */
export class ApiClient {
  readonly origin: string
  readonly passkey: SoftwareAuthenticator
  readonly cookies: Map<string, string>
  readonly #ca: string | undefined
  readonly #connectTo: ConnectTo | undefined
  #csrf: string | null = null

  /**
   * `origin` is what a browser would show; `connectTo` where the server really listens (the public name need not
   * resolve in a test); `ca` (PEM) is what its certificate is trusted by. Nothing here ignores a certificate error.
   */
  constructor(origin: string, options: { ca?: string; connectTo?: ConnectTo; same?: ApiClient } = {}) {
    this.origin = origin
    this.passkey = options.same?.passkey ?? new SoftwareAuthenticator(origin)
    this.cookies = options.same?.cookies ?? new Map()
    this.#csrf = options.same ? options.same.#csrf : null
    this.#ca = options.ca
    this.#connectTo = options.connectTo
  }

  /** The same browser, sent to another broker of the installation, as whatever stands before them does. */
  at(connectTo: ConnectTo): ApiClient {
    return new ApiClient(this.origin, {
      ...(this.#ca === undefined ? {} : { ca: this.#ca }),
      connectTo,
      same: this,
    })
  }

  /** The cookies as a browser would send them. */
  cookieHeader(): string {
    return [...this.cookies].map(([name, value]) => `${name}=${value}`).join('; ')
  }

  async fetch(
    method: string,
    path: string,
    body?: unknown,
    headers: Record<string, string> = {},
  ): Promise<ApiAnswer<unknown>> {
    const url = new URL(path, this.origin)
    const secure = url.protocol === 'https:'
    const payload = body === undefined ? null : Buffer.from(JSON.stringify(body))
    const answer = await new Promise<ApiAnswer<unknown>>((resolve, reject) => {
      const outgoing = (secure ? httpsRequest : httpRequest)(
        {
          method,
          ...(this.#connectTo ?? { host: url.hostname, port: url.port }),
          path: url.pathname + url.search,
          ...(secure ? { servername: url.hostname, ca: this.#ca } : {}),
          headers: {
            host: url.host,
            ...(method === 'GET' ? {} : { origin: this.origin }),
            ...(payload ? { 'content-type': 'application/json', 'content-length': payload.length } : {}),
            ...(this.cookies.size > 0 ? { cookie: this.cookieHeader() } : {}),
            ...(this.#csrf && method !== 'GET' ? { 'x-csrf-token': this.#csrf } : {}),
            ...headers,
          },
          agent: false,
        },
        (incoming) => {
          const chunks: Buffer[] = []
          incoming.on('data', (chunk: Buffer) => chunks.push(chunk))
          incoming.on('error', reject)
          incoming.on('end', () => {
            const raw = Buffer.concat(chunks)
            const json = String(incoming.headers['content-type'] ?? '').includes('json')
            resolve({
              status: incoming.statusCode ?? 0,
              headers: incoming.headers,
              body: json && raw.length > 0 ? JSON.parse(raw.toString()) : raw.toString(),
              raw,
            })
          })
        },
      )
      outgoing.on('error', reject)
      outgoing.end(payload ?? undefined)
    })
    for (const line of [answer.headers['set-cookie'] ?? []].flat()) {
      const [pair = ''] = line.split(';')
      const cut = pair.indexOf('=')
      const name = pair.slice(0, cut)
      if (/max-age=0|expires=thu, 01 jan 1970/i.test(line) || cut === pair.length - 1)
        this.cookies.delete(name)
      else this.cookies.set(name, pair.slice(cut + 1))
    }
    return answer
  }

  /** Calls a contract route; the answer may be an error body. */
  async ask<K extends RouteKey>(key: K, input: Ask<K>): Promise<ApiAnswer<Answer<K>>> {
    const { params, query, body } = input as {
      params?: Record<string, string | number>
      query?: Record<string, unknown>
      body?: unknown
    }
    const [method = '', pattern = ''] = key.split(' ')
    const path = pattern.replace(/:([A-Za-z]+)/g, (_all, name: string) =>
      encodeURIComponent(String(params?.[name] ?? '')),
    )
    const search = new URLSearchParams()
    for (const [name, value] of Object.entries(query ?? {}))
      if (value !== undefined) search.set(name, String(value))
    const answer = await this.fetch(method, search.size > 0 ? `${path}?${search}` : path, body)
    return answer as ApiAnswer<Answer<K>>
  }

  /** The same, throwing on anything but 200. */
  async call<K extends RouteKey>(key: K, input: Ask<K>): Promise<Answer<K>> {
    const answer = await this.ask(key, input)
    if (answer.status !== 200) {
      throw new Error(`${key}: ${answer.status} ${JSON.stringify(answer.body).slice(0, 1500)}`)
    }
    return answer.body
  }

  async me(): Promise<Answer<'GET /api/me'>> {
    const me = await this.call('GET /api/me', {})
    this.#csrf = me.csrf
    return me
  }

  /** Redeems a one-time set-up link: registers this client's passkey and is signed in. */
  async setUp(link: string): Promise<Answer<'GET /api/me'>> {
    const token = new URL(link).hash.slice(1)
    const begun = await this.call('POST /api/set-up/options', { body: { token } })
    const attestation = await this.passkey.create(begun.options as never)
    await this.call('POST /api/set-up', {
      body: { token, challengeId: begun.challengeId, attestation: { ...attestation }, label: 'Test passkey' },
    })
    return this.me()
  }

  /** Signs in, or steps up when signed in already, with this client's passkey. */
  async signIn(): Promise<Answer<'GET /api/me'>> {
    const begun = await this.call('POST /api/sign-in/passkey/options', { body: {} })
    const assertion = await this.passkey.get(begun.options as never)
    await this.call('POST /api/sign-in/passkey', {
      body: { challengeId: begun.challengeId, assertion: { ...assertion } },
    })
    return this.me()
  }

  /** Signs a decision with the passkey, as the approver's page does. */
  async decide(
    requestId: string,
    decision: 'granted' | 'declined',
    constraints: Record<string, unknown> = {},
    reason: string | null = null,
  ): Promise<Answer<'GET /api/requests/:id'>> {
    const request = await this.call('GET /api/requests/:id', { params: { id: requestId } })
    const begun = await this.call('POST /api/requests/:id/decision/options', {
      params: { id: requestId },
      body: { decision, constraints, snapshotHash: request.snapshotHash, reason },
    })
    const assertion = await this.passkey.get(begun.options as never)
    return this.call('POST /api/requests/:id/decision', {
      params: { id: requestId },
      body: { challengeId: begun.challengeId, assertion: { ...assertion } },
    })
  }
}
