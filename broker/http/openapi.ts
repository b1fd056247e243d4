import type { RouteSpec } from '../contract/route.ts'

/** What the OpenAPI document says about a route beyond its schemas. */
export function describeAccess(spec: RouteSpec): string {
  const who =
    spec.access.who === 'public'
      ? 'Anybody.'
      : spec.access.who === 'signed-in'
        ? 'Everybody who is signed in.'
        : `Roles: ${spec.access.roles.join(', ')}; the object is checked too.`
  return spec.stepUp ? `${who} Needs strong authentication within the last five minutes.` : who
}

/** The document's head. Paths and schemas are generated from the contract's routes. */
export const OPENAPI_HEAD = {
  openapi: '3.1.0',
  info: {
    title: 'Sallyport',
    description:
      'Every change (not GET) needs the `x-csrf-token` of `GET /api/me` and an `Origin` of our own. Unknown fields are refused. Errors have one shape, with a stable code.',
    version: '0.1.0',
  },
  components: {
    securitySchemes: {
      signIn: { type: 'apiKey', in: 'cookie', name: '__Host-sallyport-sign-in' },
    },
  },
} as const
