import { afterEach, beforeEach, describe, expect, it, vi } from 'vitest'
import { type ApiFailure, addressOf, call, setCsrf, setHooks } from './api.ts'
import { topicsOf } from './link.ts'

const id = '0199a1b2-0000-7000-8000-000000000001'
const json = (status: number, body: unknown) =>
  new Response(JSON.stringify(body), { status, headers: { 'content-type': 'application/json' } })
const stepUp = {
  code: 'step-up-required',
  message: 'Sign in afresh.',
  next: 'Use your passkey.',
  requestId: 'r-1',
}

describe('the client', () => {
  const fetched = vi.fn<typeof fetch>()
  beforeEach(() => {
    vi.stubGlobal('fetch', fetched)
    setCsrf('token-1')
  })
  afterEach(() => {
    fetched.mockReset()
    vi.unstubAllGlobals()
    setHooks({ stepUp: async () => false, signedOut: () => undefined })
  })

  it('fills in parameters escaped and leaves empty query fields out', () => {
    expect(addressOf('GET /api/requests/:id', { params: { id: '../x?' } })).toBe('/api/requests/..%2Fx%3F')
    expect(addressOf('GET /api/sessions', { query: { search: 'a b&c', ticket: '', live: 'true' } })).toBe(
      '/api/sessions?search=a+b%26c&live=true',
    )
  })

  it('sends the token with everything that is not a GET', async () => {
    fetched.mockImplementation(async () => json(200, { ok: true }))
    await call('POST /api/sign-out', { body: {} })
    await call('GET /api/me', {})
    const headers = fetched.mock.calls.map((sent) => sent[1]?.headers as Record<string, string>)
    expect(headers[0]?.['x-csrf-token']).toBe('token-1')
    expect(headers[1]?.['x-csrf-token']).toBeUndefined()
  })

  it('steps up once and tries again', async () => {
    fetched
      .mockImplementationOnce(async () => json(403, stepUp))
      .mockImplementationOnce(async () => json(200, { sessionId: id, socket: '/ws', ticket: 't' }))
    const asked = vi.fn(async () => true)
    setHooks({ stepUp: asked })
    const opening = await call('POST /api/requests/:id/session', {
      params: { id },
      body: { noticeVersion: 1 },
    })
    expect(opening.ticket).toBe('t')
    expect(asked).toHaveBeenCalledOnce()
    expect(fetched).toHaveBeenCalledTimes(2)
  })

  it('leaves it when the person would not, and does not ask twice', async () => {
    fetched.mockImplementation(async () => json(403, stepUp))
    setHooks({ stepUp: async () => false })
    await expect(call('POST /api/sign-out', { body: {} })).rejects.toMatchObject({ code: 'step-up-required' })
    expect(fetched).toHaveBeenCalledTimes(1)
    const asked = vi.fn(async () => true)
    setHooks({ stepUp: asked })
    await expect(call('POST /api/sign-out', { body: {} })).rejects.toMatchObject({ code: 'step-up-required' })
    expect(asked).toHaveBeenCalledOnce()
  })

  it('tells of a lost sign-in, but not while signing in', async () => {
    const out = vi.fn()
    setHooks({ signedOut: out })
    const gone = { code: 'sign-in-needed', message: 'm', next: 'n', requestId: 'r' }
    fetched.mockImplementation(async () => json(401, gone))
    await call('GET /api/sites', {}).catch(() => undefined)
    expect(out).toHaveBeenCalledOnce()
    await call('POST /api/sign-in/passkey/options', { body: {} }).catch(() => undefined)
    expect(out).toHaveBeenCalledOnce()
  })

  it('carries what a person needs, also when something else answered', async () => {
    fetched.mockImplementationOnce(async () =>
      json(400, {
        code: 'invalid',
        message: 'Check the form.',
        next: 'Correct it.',
        requestId: 'r-9',
        fields: [{ path: 'purpose', message: 'too short' }],
      }),
    )
    const failure = (await call('GET /api/sites', {}).catch((error: unknown) => error)) as ApiFailure
    expect(failure).toMatchObject({ status: 400, code: 'invalid', next: 'Correct it.', requestId: 'r-9' })
    expect(failure.fields[0]?.path).toBe('purpose')
    fetched.mockImplementationOnce(async () => new Response('<html>', { status: 502 }))
    await expect(call('GET /api/sites', {})).rejects.toMatchObject({ code: 'http-502' })
    fetched.mockImplementationOnce(async () => {
      throw new TypeError('fetch failed')
    })
    await expect(call('GET /api/sites', {})).rejects.toMatchObject({ code: 'no-connection', status: 0 })
  })

  it('does not wait for ever, and says that what was asked for may have been done', async () => {
    vi.useFakeTimers()
    vi.spyOn(AbortSignal, 'timeout').mockImplementation((afterMs) => {
      const limit = new AbortController()
      setTimeout(() => limit.abort(new DOMException('late', 'TimeoutError')), afterMs)
      return limit.signal
    })
    const never = (sent: RequestInit | undefined) =>
      new Promise<Response>((_, refuse) => {
        sent?.signal?.addEventListener('abort', () => refuse(sent.signal?.reason))
      })
    fetched.mockImplementation((_, sent) => never(sent))
    const done = call('POST /api/sign-out', { body: {} }).catch((error: unknown) => error)
    await vi.advanceTimersByTimeAsync(30_000)
    expect(await done).toMatchObject({ code: 'no-answer', status: 0 })
    expect(((await done) as ApiFailure).next).toMatch(/may have been done/)
    vi.useRealTimers()
    vi.restoreAllMocks()
  })
})

describe('hints', () => {
  it('are read, or mean anything', () => {
    expect(topicsOf('{"topics":["requests"]}')).toEqual(['requests'])
    expect(topicsOf('["sessions"]')).toEqual(['sessions'])
    expect(topicsOf('hello')).toBeNull()
    expect(topicsOf('{"topics":[1]}')).toBeNull()
  })
})
