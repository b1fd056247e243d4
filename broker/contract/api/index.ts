import type {
  RouteBody,
  RouteBodyInput,
  RouteParams,
  RouteQuery,
  RouteQueryInput,
  RouteResponse,
} from '../route.ts'
import { accessApi } from './access.ts'
import { evidenceApi } from './evidence.ts'
import { exceptionsApi } from './exceptions.ts'
import { identityApi } from './identity.ts'
import { inventoryApi } from './inventory.ts'
import { sessionsApi } from './sessions.ts'

/** Every route of the product. OpenAPI, the handlers' types, the web's client and the route x role matrix come from it. */
export const api = {
  ...identityApi,
  ...inventoryApi,
  ...exceptionsApi,
  ...accessApi,
  ...sessionsApi,
  ...evidenceApi,
}
export type Api = typeof api
export type RouteKey = keyof Api

export type Params<K extends RouteKey> = RouteParams<Api[K]>
export type Query<K extends RouteKey> = RouteQuery<Api[K]>
export type QueryInput<K extends RouteKey> = RouteQueryInput<Api[K]>
export type Body<K extends RouteKey> = RouteBody<Api[K]>
export type BodyInput<K extends RouteKey> = RouteBodyInput<Api[K]>
export type Answer<K extends RouteKey> = RouteResponse<Api[K]>
