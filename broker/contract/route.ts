import { z } from 'zod'
import type { Role } from '../domain/words.ts'

/**
 * Who may call a route at all. It is the first gate only: every handler also checks the object (this site, this
 * request, this session). The route x role matrix of the tests is generated from these.
 */
export type Access =
  | { who: 'public' }
  | { who: 'signed-in' }
  /** One of these roles, at some site; which site is checked against the object. */
  | { who: 'roles'; roles: readonly Role[] }

export interface RouteSpec {
  /** One sentence for the OpenAPI document. */
  summary: string
  access: Access
  /** Needs strong authentication within the last five minutes (threat 1). */
  stepUp?: true
  params?: z.ZodType
  query?: z.ZodType
  body?: z.ZodType
  /** `raw`: bytes or text of this media type, written by the handler itself. */
  response: z.ZodType | { raw: string | readonly string[] }
}

/** Keeps the literal types of a table of routes and checks its shape. */
export function routes<const T extends Record<`${Method} /${string}`, RouteSpec>>(table: T): T {
  return table
}

export type Method = 'GET' | 'POST' | 'PUT' | 'PATCH' | 'DELETE'

type Out<T, K extends string> =
  T extends Record<K, infer S> ? (S extends z.ZodType ? z.output<S> : undefined) : undefined
type In<T, K extends string> =
  T extends Record<K, infer S> ? (S extends z.ZodType ? z.input<S> : undefined) : undefined

export type RouteParams<T> = Out<T, 'params'>
export type RouteQuery<T> = Out<T, 'query'>
export type RouteBody<T> = Out<T, 'body'>
export type RouteQueryInput<T> = In<T, 'query'>
export type RouteBodyInput<T> = In<T, 'body'>
export type RouteResponse<T> = T extends { response: infer R }
  ? R extends z.ZodType
    ? z.output<R>
    : 'raw'
  : never

export const publicRoute = { who: 'public' } as const
export const signedIn = { who: 'signed-in' } as const
export const only = <const R extends readonly Role[]>(...roles: R) => ({ who: 'roles', roles }) as const

/** Shared shapes. Instants are ISO 8601 UTC strings with milliseconds in the API. */
export const Id = z.uuid()
export const Instant = z.iso.datetime({ offset: false })
export const Name = z.string().trim().min(1).max(120)
export const Line = z.string().trim().min(1).max(500)
export const Cursor = z.string().max(200)
export const IdParams = z.strictObject({ id: Id })
export const Ok = z.strictObject({ ok: z.literal(true) })
export const Hash = z.string().regex(/^[0-9a-f]{64}$/)
export const Limit = z.coerce.number().int().min(1).max(200).default(50)

export function page<T extends z.ZodType>(item: T) {
  return z.strictObject({ items: z.array(item), next: Cursor.nullable() })
}

/** Every error body of the API. `code` is stable; `message` says what is wrong, `next` what to do. */
export const ApiError = z.strictObject({
  code: z.string(),
  message: z.string(),
  next: z.string(),
  /** For the person to quote; also in the log. */
  requestId: z.string(),
  fields: z.array(z.strictObject({ path: z.string(), message: z.string() })).optional(),
  reasons: z.array(z.looseObject({ code: z.string() })).optional(),
})
export type ApiError = z.infer<typeof ApiError>
