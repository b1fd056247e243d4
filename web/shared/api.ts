import type { Answer, Api, BodyInput, Params, QueryInput, RouteKey } from '../../broker/contract/api/index.ts'
import type { ApiError } from '../../broker/contract/route.ts'

/**
 * The client of the contract: one function, typed by the route's key. Only types come from the broker; its schemas
 * (and zod) are not in the bundle.
 */
export type { Answer, BodyInput, RouteKey }
export type ReadKey = Extract<RouteKey, `GET ${string}`>
export type RawKey = {
  [K in RouteKey]: Api[K]['response'] extends { raw: string | readonly string[] } ? K : never
}[RouteKey]

type Part<Name extends string, T> = [T] extends [undefined] ? Record<never, never> : Record<Name, T>
type OptionalPart<Name extends string, T> = [T] extends [undefined]
  ? Record<never, never>
  : { [N in Name]?: T | undefined }
/** What a call needs: exactly the parts that the route declares. */
export type Input<K extends RouteKey> = Part<'params', Params<K>> &
  OptionalPart<'query', QueryInput<K>> &
  Part<'body', BodyInput<K>>

/** A refusal with everything a person needs: what happened, what to do, what to quote. */
export class ApiFailure extends Error {
  readonly status: number
  readonly code: string
  readonly next: string
  readonly requestId: string
  readonly fields: readonly { path: string; message: string }[]
  readonly reasons: readonly { code: string }[]

  constructor(status: number, body: ApiError) {
    super(body.message)
    this.name = 'ApiFailure'
    this.status = status
    this.code = body.code
    this.next = body.next
    this.requestId = body.requestId
    this.fields = body.fields ?? []
    this.reasons = body.reasons ?? []
  }
}

interface Hooks {
  /** Asks the person to prove again who they are; false when they would not. */
  stepUp: () => Promise<boolean>
  signedOut: () => void
}
let csrf: string | null = null
let hooks: Hooks = { stepUp: async () => false, signedOut: () => undefined }

/** The token of `GET /api/me`; goes with everything that is not a GET. */
export function setCsrf(token: string | null): void {
  csrf = token
}
export function setHooks(next: Partial<Hooks>): void {
  hooks = { ...hooks, ...next }
}

/** No answer after so long is a failure that the person is told of; a click must not end in silence. */
const READ_MS = 15_000
const ACT_MS = 30_000
/** What takes as long as a recording is long, or as a machine takes to answer. */
const LONG_MS = 300_000
const isLong = (address: string) => /\/(verify|integrity|package|probe)\b/.test(address)

interface Loose {
  params?: Record<string, unknown>
  query?: Record<string, unknown>
  body?: unknown
}

/** The address of a route: parameters escaped, empty query fields left out. */
export function addressOf<K extends RouteKey>(key: K, input: Omit<Input<K>, 'body'>): string {
  const { params, query } = input as Loose
  const path = key
    .slice(key.indexOf(' ') + 1)
    .replace(/:([a-zA-Z]+)/g, (_, name: string) => encodeURIComponent(String(params?.[name] ?? '')))
  const search = new URLSearchParams()
  for (const [name, value] of Object.entries(query ?? {}))
    if (value !== undefined && value !== null && value !== '') search.set(name, String(value))
  const text = search.toString()
  return text ? `${path}?${text}` : path
}

/** Calls a route; throws `ApiFailure`. A step-up that the server asks for is made, and the call tried once more. */
export async function call<K extends Exclude<RouteKey, RawKey>>(
  key: K,
  input: Input<K>,
  signal?: AbortSignal,
): Promise<Answer<K>> {
  const response = await send(key, input, signal, true)
  return (await readJson(response)) as Answer<K>
}

/** The same for routes that answer with bytes or text. */
export async function callRaw<K extends RawKey>(
  key: K,
  input: Input<K>,
  signal?: AbortSignal,
): Promise<Response> {
  return send(key, input, signal, false)
}

async function send<K extends RouteKey>(
  key: K,
  input: Input<K>,
  signal: AbortSignal | undefined,
  limited: boolean,
): Promise<Response> {
  const method = key.slice(0, key.indexOf(' '))
  const once = () => request(method, addressOf(key, input), (input as Loose).body, signal, limited)
  const first = await once()
  if (first.ok) return first
  const failure = await readFailure(first)
  if (needsStepUp(failure)) {
    if (!(await hooks.stepUp())) throw failure
    const second = await once()
    if (second.ok) return second
    throw await readFailure(second)
  }
  if (failure.status === 401 && !key.includes('/api/sign-in/') && !key.includes('/api/set-up'))
    hooks.signedOut()
  throw failure
}

const needsStepUp = (failure: ApiFailure) =>
  (failure.status === 401 || failure.status === 403) && failure.code === 'step-up-required'

async function request(
  method: string,
  address: string,
  body: unknown,
  signal: AbortSignal | undefined,
  limited: boolean,
): Promise<Response> {
  const limitMs = isLong(address) ? LONG_MS : method === 'GET' ? READ_MS : ACT_MS
  const limits = [...(signal ? [signal] : []), ...(limited ? [AbortSignal.timeout(limitMs)] : [])]
  const headers: Record<string, string> = { accept: 'application/json, */*;q=0.5' }
  if (body !== undefined) headers['content-type'] = 'application/json'
  if (method !== 'GET' && csrf) headers['x-csrf-token'] = csrf
  try {
    return await fetch(address, {
      method,
      headers,
      credentials: 'same-origin',
      cache: 'no-store',
      ...(body === undefined ? {} : { body: JSON.stringify(body) }),
      ...(limits.length > 0 ? { signal: anyOf(limits) } : {}),
    })
  } catch (error) {
    if (signal?.aborted) throw error
    if (isTimeout(error)) throw noAnswer(method === 'GET')
    throw new ApiFailure(0, {
      code: 'no-connection',
      message: 'The broker did not answer.',
      next:
        method === 'GET'
          ? 'Check your network. The page tries again by itself.'
          : 'Check your network, and look at the page again before you repeat it.',
      requestId: '-',
    })
  }
}

/** Phones before Safari 17.4 cannot join signals: there the last one, the time limit, counts. */
const anyOf = (signals: AbortSignal[]): AbortSignal | null =>
  'any' in AbortSignal ? AbortSignal.any(signals) : (signals.at(-1) ?? null)

const isTimeout = (error: unknown) => error instanceof DOMException && error.name === 'TimeoutError'

/** Not knowing is said as such: what was asked for may have been done after all. */
function noAnswer(reading: boolean): ApiFailure {
  return new ApiFailure(0, {
    code: 'no-answer',
    message: 'The broker did not answer in time.',
    next: reading
      ? 'Check your network, then try again.'
      : 'It may have been done all the same: look at the page again before you repeat it.',
    requestId: '-',
  })
}

async function readJson(response: Response): Promise<unknown> {
  try {
    return await response.json()
  } catch (error) {
    throw isTimeout(error) ? noAnswer(false) : unreadable(response)
  }
}

async function readFailure(response: Response): Promise<ApiFailure> {
  try {
    const body: unknown = await response.json()
    if (isApiError(body)) return new ApiFailure(response.status, body)
  } catch {
    // Not JSON: something between here and the broker answered.
  }
  return unreadable(response)
}

function isApiError(body: unknown): body is ApiError {
  return (
    typeof body === 'object' &&
    body !== null &&
    'code' in body &&
    typeof body.code === 'string' &&
    'message' in body &&
    typeof body.message === 'string'
  )
}

function unreadable(response: Response): ApiFailure {
  return new ApiFailure(response.status, {
    code: `http-${response.status}`,
    message: 'The answer could not be read.',
    next: 'Try again. If it stays so, tell the administrator of this site.',
    requestId: response.headers.get('x-request-id') ?? '-',
  })
}
