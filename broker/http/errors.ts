import type { FastifyError, FastifyReply, FastifyRequest } from 'fastify'
import { hasZodFastifySchemaValidationErrors } from 'fastify-type-provider-zod'
import { IntegrityError } from '../audit/integrity.ts'
import type { ApiError } from '../contract/route.ts'
import { Failure } from '../domain/failure.ts'
import { overtaken, unavailable, uniqueViolation } from '../store/sql.ts'

/** What Fastify refuses by itself, in our words. Everything else that is thrown is a bug: a plain 500. */
const FRAMEWORK: Record<string, { status: number; code: string; message: string; next: string }> = {
  FST_ERR_CTP_BODY_TOO_LARGE: {
    status: 413,
    code: 'too-large',
    message: 'What was sent is too large.',
    next: 'Send less.',
  },
  FST_ERR_CTP_INVALID_MEDIA_TYPE: {
    status: 415,
    code: 'unsupported-media-type',
    message: 'This route takes JSON.',
    next: 'Send content-type: application/json.',
  },
  FST_ERR_CTP_EMPTY_JSON_BODY: {
    status: 400,
    code: 'invalid-json',
    message: 'The body is empty.',
    next: 'Send a JSON object.',
  },
  FST_ERR_CTP_INVALID_JSON_BODY: {
    status: 400,
    code: 'invalid-json',
    message: 'The body is not JSON.',
    next: 'Send a JSON object.',
  },
}

export interface Refusal {
  status: number
  body: ApiError
  headers?: Record<string, string>
  /** Not expected: goes to the log with its stack. */
  bug: boolean
}

/** A 429 carries how long to wait. */
export class TooMany extends Failure {
  readonly retryAfter: number
  constructor(seconds: number) {
    super(429, 'rate-limited', 'Too many requests from here.', `Wait ${seconds} s and try again.`)
    this.retryAfter = seconds
  }
}

/** The body, status and headers for anything that was thrown. Never repeats what an unexpected error said. */
export function refusal(error: unknown, request: FastifyRequest): Refusal {
  const requestId = request.id
  if (error instanceof Failure) {
    return {
      status: error.status,
      bug: false,
      ...(error instanceof TooMany ? { headers: { 'retry-after': String(error.retryAfter) } } : {}),
      body: {
        code: error.code,
        message: error.message,
        next: error.next,
        requestId,
        ...(error.reasons ? { reasons: error.reasons.map((reason) => ({ ...reason })) } : {}),
        ...(error.fields ? { fields: error.fields.map((field) => ({ ...field })) } : {}),
      },
    }
  }
  if (hasZodFastifySchemaValidationErrors(error)) {
    const part = (error as FastifyError & { validationContext?: string }).validationContext ?? 'body'
    // A path or id that can't exist is the same answer as one that does not.
    if (part === 'params') {
      return {
        status: 404,
        bug: false,
        body: { code: 'not-found', message: 'There is nothing here.', next: 'Check the link.', requestId },
      }
    }
    return {
      status: 400,
      bug: false,
      body: {
        code: 'invalid-input',
        message: 'Something in the input is not right.',
        next: 'Correct the fields named here. Nothing was changed.',
        requestId,
        fields: fieldsOf(error.validation).slice(0, 50),
      },
    }
  }
  const code = (error as { code?: unknown } | null)?.code
  const known = typeof code === 'string' ? FRAMEWORK[code] : undefined
  if (known) {
    const { status, ...words } = known
    return { status, bug: false, body: { ...words, requestId } }
  }
  if (unavailable(error)) {
    return {
      status: 503,
      bug: false,
      headers: { 'retry-after': '5' },
      body: {
        code: 'database-unavailable',
        message: 'The database does not answer. Running sessions go on; stopping one still works.',
        next: 'Wait a moment and try again.',
        requestId,
      },
    }
  }
  if (overtaken(error)) {
    return {
      status: 503,
      bug: false,
      headers: { 'retry-after': '1' },
      body: {
        code: 'busy',
        message: 'Others were changing the same at this moment. Nothing was changed.',
        next: 'Try again.',
        requestId,
      },
    }
  }
  if (error instanceof IntegrityError) {
    return {
      status: 409,
      bug: false,
      body: {
        code: 'row-not-vouched',
        message:
          'What this rests on was changed outside of Sallyport. It does not count, and an alarm was raised.',
        next: 'Tell your OT security people. Nothing was changed.',
        requestId,
      },
    }
  }
  const taken = uniqueViolation(error)
  if (taken !== null) {
    // Our constraints are named as sentences: "a site name is used once".
    return {
      status: 409,
      bug: false,
      body: {
        code: 'taken',
        message: `There is one already: ${taken.replaceAll('_', ' ')}.`,
        next: 'Choose another name, or change the one that is there.',
        requestId,
      },
    }
  }
  const status = (error as FastifyError).statusCode ?? 500
  if (status >= 400 && status < 500) {
    return {
      status,
      bug: false,
      body: { code: 'bad-request', message: 'The request can’t be read.', next: 'Check it.', requestId },
    }
  }
  return {
    status: 500,
    bug: true,
    body: {
      code: 'internal',
      message: 'Something went wrong here. It was logged.',
      next: 'Try again; if it stays, give the administrator the request id.',
      requestId,
    },
  }
}

interface Issue {
  keyword?: string
  instancePath?: string
  message?: string
  params?: unknown
}

/** Zod's issues as dotted field paths; an unknown field is named itself rather than its parent. */
function fieldsOf(issues: readonly Issue[]): { path: string; message: string }[] {
  return issues.flatMap((issue) => {
    const at = (issue.instancePath ?? '').split('/').filter(Boolean)
    const keys = (issue.params as { keys?: unknown } | undefined)?.keys
    if (issue.keyword === 'unrecognized_keys' && Array.isArray(keys)) {
      return keys.map((key) => ({
        path: [...at, String(key)].join('.').slice(0, 200),
        message: 'Unknown field',
      }))
    }
    return [{ path: at.join('.').slice(0, 200), message: (issue.message ?? 'Not valid').slice(0, 300) }]
  })
}

export function sendRefusal(reply: FastifyReply, found: Refusal): FastifyReply {
  // The route's own serializer is for its answers; errors have one shape everywhere.
  return reply
    .code(found.status)
    .headers({ 'cache-control': 'no-store', ...found.headers })
    .type('application/json; charset=utf-8')
    .serializer((body: unknown) => JSON.stringify(body))
    .send(found.body)
}
