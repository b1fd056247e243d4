import swagger from '@fastify/swagger'
import fastify, { type FastifyInstance, type FastifyReply, type FastifyRequest, LogController } from 'fastify'
import { jsonSchemaTransform, serializerCompiler, validatorCompiler } from 'fastify-type-provider-zod'
import type { Logger } from 'pino'
import { z } from 'zod'
import type { AuditEvent } from '../audit/event.ts'
import { api, type RouteKey } from '../contract/api/index.ts'
import type { Handlers } from '../contract/handler.ts'
import { ApiError, type RouteSpec } from '../contract/route.ts'
import type { Clock } from '../domain/clock.ts'
import { Failure, notFound } from '../domain/failure.ts'
import { isId, newId } from '../domain/ids.ts'
import type { Principal } from '../domain/principal.ts'
import { unavailable } from '../store/sql.ts'
import { checkAccess, checkSameOrigin, csrfFailure } from './access.ts'
import { type ConnectionLimits, DEFAULT_CONNECTIONS, limitConnections } from './connections.ts'
import { constantTimeEqual } from './constant-time.ts'
import { type Cookies, cookiesFor } from './cookies.ts'
import { Denials } from './denials.ts'
import { refusal, sendRefusal, TooMany } from './errors.ts'
import { describeAccess, OPENAPI_HEAD } from './openapi.ts'
import type { PublicOrigin } from './origin.ts'
import { requirePlainText } from './plain-text.ts'
import { DEFAULT_LIMITS, type Limits, RateLimiter } from './rate-limit.ts'
import { securityHeaders } from './security-headers.ts'
import { registerWeb } from './static-files.ts'
import type { ServerTls } from './tls.ts'
import { registerTrustPage } from './trust-page.ts'

/** What the HTTP layer needs to know about sign-ins; implemented by identity. */
export interface SignIns {
  /** The person behind a sign-in token, with rows read afresh. Null: not signed in. Throws when the database is down. */
  authenticate(token: string, sourceAddress: string): Promise<Principal | null>
  /** The same from memory, for at most 15 minutes after the last look at the database. Only for stop and hold. */
  authenticateFromMemory(token: string): Principal | null
  csrfToken(token: string): string
}

export interface AppOptions {
  /** One part from every room. Together they cover the contract, each route once. */
  handlers: readonly Partial<Handlers>[]
  origin: PublicOrigin
  signIns: SignIns
  /** Writes one audit entry in a transaction of its own (refused attempts). */
  recordDenied: (event: AuditEvent) => Promise<void>
  clock: Clock
  /** Null: plain HTTP behind `inject()` or on http://localhost (demo). */
  tls: ServerTls | null
  /** Folder of the built pages; null in tests. */
  webDir: string | null
  logger: Logger | null
  limits?: Partial<Limits>
  connections?: Partial<ConnectionLimits>
  /** Addresses of reverse proxies whose X-Forwarded-For counts. Default: none, the header is ignored. */
  trustedProxies?: readonly string[]
}

declare module 'fastify' {
  interface FastifyRequest {
    /** Set by the access check; never by anything the client sends. */
    principal: Principal | null
    /** The sign-in cookie's value as sent. */
    signInToken: string | null
  }
  interface FastifyContextConfig {
    key?: RouteKey
    spec?: RouteSpec
  }
}

/** Routes that another server calls, authenticated by what they carry (a signed token), never by a cookie. */
const SERVER_TO_SERVER = new Set<RouteKey>(['POST /auth/oidc/:provider/back-channel-logout'])
/** Routes that must work while the database is down (access.md, "Ending safely"). */
const URGENT = new Set<RouteKey>(['POST /api/sessions/:id/stop', 'POST /api/sessions/:id/hold'])
const BODY_LIMIT = 64 * 1024
const LARGE_BODIES: Partial<Record<RouteKey, number>> = { 'POST /api/ticket-files': 1_100_000 }
/** How long the urgent routes wait for the database before they go by memory. */
const URGENT_WAIT_MS = 1_000

/** Builds the HTTP application. Throws when a contract route has no handler, two, or one is unknown. */
export function buildApp(options: AppOptions): FastifyInstance {
  const handlers = joinHandlers(options.handlers)
  const cookies = cookiesFor(options.origin)
  const app = fastify({
    ...(options.tls ? { https: options.tls.serverOptions() } : {}),
    ...(options.logger ? { loggerInstance: options.logger } : { logger: false }),
    logController: new LogController({ disableRequestLogging: true }),
    genReqId: () => newId(),
    trustProxy: options.trustedProxies ? [...options.trustedProxies] : false,
    bodyLimit: BODY_LIMIT,
    exposeHeadRoutes: false,
    // A slow client holds its own socket, not a handler (threat 30).
    requestTimeout: 30_000,
    keepAliveTimeout: 30_000,
    // Event streams would keep a shutdown waiting.
    forceCloseConnections: true,
    routerOptions: { maxParamLength: 200, ignoreTrailingSlash: false },
  } as object) as unknown as FastifyInstance
  if (options.tls) options.tls.attach(app.server as never)
  limitConnections(
    app.server,
    { ...DEFAULT_CONNECTIONS, ...options.connections },
    options.trustedProxies ?? [],
  )

  app.setValidatorCompiler(validatorCompiler)
  app.setSerializerCompiler(serializerCompiler)
  app.decorateRequest('principal', null)
  app.decorateRequest('signInToken', null)
  app.removeContentTypeParser('text/plain')

  const headers = securityHeaders(options.origin)
  const gate = accessGate(options, cookies)
  const denials = new Denials(options.recordDenied, options.clock)

  app.addHook('onRequest', async (request, reply) => {
    reply.headers({ ...headers, 'x-request-id': request.id })
    if (/^\/(api|auth)\//.test(request.url)) reply.header('cache-control', 'no-store')
    await gate(request)
  })
  app.addHook('onResponse', async (request, reply) => {
    request.log.info(
      {
        // The pattern, not the URL: queries carry codes and states, paths carry ids.
        route: request.routeOptions.config.key ?? `${request.method} (page)`,
        status: reply.statusCode,
        ms: Math.round(reply.elapsedTime),
        person: request.principal?.personId ?? null,
        source: request.ip,
        requestId: request.id,
      },
      'request',
    )
  })
  app.setErrorHandler((error, request, reply) => {
    const found = refusal(error, request)
    if (found.bug) request.log.error({ err: error, requestId: request.id }, 'unexpected error')
    const id = (request.params as { id?: unknown } | undefined)?.id
    const object = typeof id === 'string' && isId(id) ? id : null
    const denied = found.status === 403 || ((found.status === 401 || found.status === 404) && object !== null)
    if (denied && error instanceof Failure) {
      denials.note({
        route: request.routeOptions.config.key ?? request.method,
        object,
        code: found.body.code,
        status: found.status,
        principal: request.principal,
        sourceAddress: request.ip,
        requestId: request.id,
      })
    }
    return sendRefusal(reply, found)
  })
  app.setNotFoundHandler((request, reply) => sendRefusal(reply, refusal(notFound('page'), request)))

  app.register(swagger, { openapi: OPENAPI_HEAD as never, transform: jsonSchemaTransform })
  app.register(async (scope) => {
    for (const key of Object.keys(api) as RouteKey[]) registerRoute(scope, key, handlers)
    scope.get('/api/openapi.json', { schema: { hide: true } as object }, async (_request, reply) =>
      reply.type('application/json; charset=utf-8').send(JSON.stringify(app.swagger())),
    )
    if (options.tls) registerTrustPage(scope, options.tls, options.origin)
    if (options.webDir !== null) await registerWeb(scope, options.webDir)
  })
  return app
}

/** One table of handlers; each contract route exactly once. */
function joinHandlers(parts: readonly Partial<Handlers>[]): Handlers {
  const all = new Map<string, unknown>()
  for (const part of parts) {
    for (const [key, handler] of Object.entries(part)) {
      if (!(key in api)) throw new Error(`The handler "${key}" is for no route of the contract.`)
      if (all.has(key)) throw new Error(`The route "${key}" has two handlers.`)
      if (typeof handler !== 'function') throw new Error(`The handler of "${key}" is not a function.`)
      all.set(key, handler)
    }
  }
  const missing = Object.keys(api).filter((key) => !all.has(key))
  if (missing.length > 0) throw new Error(`These routes have no handler: ${missing.join(', ')}`)
  return Object.fromEntries(all) as unknown as Handlers
}

function registerRoute(app: FastifyInstance, key: RouteKey, handlers: Handlers): void {
  const [method, url] = key.split(' ') as [string, string]
  const spec: RouteSpec = api[key]
  const handler = handlers[key] as unknown as (context: object) => Promise<unknown>
  const raw = spec.response instanceof z.ZodType ? null : [spec.response.raw].flat()
  const errors = { '4xx': ApiError, '5xx': ApiError }
  const register = (scope: FastifyInstance) =>
    scope.route({
      method,
      url,
      bodyLimit: LARGE_BODIES[key] ?? BODY_LIMIT,
      config: { key, spec },
      schema: {
        summary: spec.summary,
        description: describeAccess(spec),
        operationId: key,
        ...(spec.access.who === 'public' ? {} : { security: [{ signIn: [] }] }),
        params: spec.params ?? z.strictObject({}),
        querystring: spec.query ?? z.strictObject({}),
        ...(spec.body ? { body: spec.body } : {}),
        response: {
          200: raw
            ? {
                description: 'Written as it is',
                content: Object.fromEntries(raw.map((type: string) => [type, { schema: z.any() }])),
              }
            : spec.response,
          ...errors,
        },
      } as object,
      handler: async (request: FastifyRequest, reply: FastifyReply) => {
        for (const part of ['params', 'query', 'body'] as const) requirePlainText(request[part], part)
        if (raw) reply.serializer((payload: unknown) => payload as string)
        return handler({
          params: request.params,
          query: request.query,
          body: request.body,
          principal: request.principal,
          sourceAddress: request.ip,
          requestId: request.id,
          request,
          reply,
        })
      },
    })
  if (!SERVER_TO_SERVER.has(key)) {
    register(app)
    return
  }
  // Only these take forms: everywhere else a form (which any site may send without asking) is a 415.
  app.register(async (scope) => {
    scope.addContentTypeParser(
      'application/x-www-form-urlencoded',
      { parseAs: 'string', bodyLimit: BODY_LIMIT },
      (_request, body, done) => done(null, Object.fromEntries(new URLSearchParams(String(body)))),
    )
    register(scope)
  })
}

/** Everything that happens before a body is read: limits, cross-site, who it is, whether they may, CSRF. */
function accessGate(options: AppOptions, cookies: Cookies): (request: FastifyRequest) => Promise<void> {
  const { clock, signIns } = options
  const rates = { ...DEFAULT_LIMITS, ...options.limits }
  const limiters = {
    address: new RateLimiter(rates.address, clock),
    signIn: new RateLimiter(rates.signIn, clock),
    person: new RateLimiter(rates.person, clock),
    urgent: new RateLimiter(rates.urgent, clock),
  }
  const take = (limiter: RateLimiter, key: string) => {
    const wait = limiter.take(key)
    if (wait > 0) throw new TooMany(wait)
  }
  return async (request) => {
    const { key, spec } = request.routeOptions.config
    const urgent = key !== undefined && URGENT.has(key)
    const address = networkOf(request.ip)
    const fromServer = key !== undefined && SERVER_TO_SERVER.has(key)
    const token = fromServer ? null : cookies.read(request.headers.cookie, 'sign-in')
    // A plant's people come from one address: only who is signed in may use up the way of stop and hold, and each
    // their own. Neither look costs more than an HMAC.
    const own = urgent && token !== null && isKnown(signIns, token, request)
    take(own ? limiters.urgent : limiters.address, own ? signIns.csrfToken(token) : address)
    if (!key || !spec) return
    const change = request.method !== 'GET'
    // Whatever begins or ends a sign-in writes a row before anybody is known.
    if (spec.access.who === 'public' && (change || key.startsWith('GET /auth/'))) {
      take(limiters.signIn, address)
    }
    if (change && !fromServer) checkSameOrigin(request, options.origin)

    request.signInToken = token
    if (token !== null) request.principal = await whoIs(signIns, token, request.ip, urgent, spec)
    checkAccess(spec, request.principal, clock)
    if (request.principal) {
      if (!urgent) take(limiters.person, request.principal.personId)
      if (change && token !== null && spec.access.who !== 'public') {
        if (!hasCsrfToken(signIns, token, request)) throw csrfFailure()
      }
    }
  }
}

/** Without the database: this broker has seen the sign-in lately, or whoever calls has its CSRF token from one. */
function isKnown(signIns: SignIns, token: string, request: FastifyRequest): boolean {
  return hasCsrfToken(signIns, token, request) || signIns.authenticateFromMemory(token) !== null
}

function hasCsrfToken(signIns: SignIns, token: string, request: FastifyRequest): boolean {
  const sent = request.headers['x-csrf-token']
  return typeof sent === 'string' && constantTimeEqual(sent, signIns.csrfToken(token))
}

async function whoIs(
  signIns: SignIns,
  token: string,
  source: string,
  urgent: boolean,
  spec: RouteSpec,
): Promise<Principal | null> {
  try {
    const asked = signIns.authenticate(token, source)
    if (!urgent) return await asked
    asked.catch(() => undefined)
    return await Promise.race([asked, databaseIsLate()])
  } catch (error) {
    if (!unavailable(error)) throw error
    if (urgent) {
      const remembered = signIns.authenticateFromMemory(token)
      if (remembered) return remembered
    }
    // A public page (health, trust, the ways to sign in) is there without the database.
    if (spec.access.who === 'public') return null
    throw error
  }
}

async function databaseIsLate(): Promise<never> {
  await new Promise((resolve) => setTimeout(resolve, URGENT_WAIT_MS).unref())
  throw Object.assign(new Error('the database is late'), { code: 'deadline' })
}

/** One IPv6 customer has a /64 at least, so single addresses of it are no limit. */
function networkOf(address: string): string {
  return address.includes(':') && !address.startsWith('::ffff:')
    ? address.split(':').slice(0, 4).join(':')
    : address
}
