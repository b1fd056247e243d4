import type { FastifyReply, FastifyRequest } from 'fastify'
import type { Principal } from '../domain/principal.ts'
import type { Answer, Api, Body, Params, Query, RouteKey } from './api/index.ts'

/** What a handler gets: input already checked against the contract's schemas, and who asks. */
export interface Context<K extends RouteKey> {
  params: Params<K>
  query: Query<K>
  body: Body<K>
  /** Null only on public routes without a sign-in. */
  principal: Api[K]['access'] extends { who: 'public' } ? Principal | null : Principal
  sourceAddress: string
  requestId: string
  request: FastifyRequest
  reply: FastifyReply
}

/** A raw route writes its answer through `reply` and returns it. */
export type Handler<K extends RouteKey> = (
  context: Context<K>,
) => Promise<Answer<K> extends 'raw' ? FastifyReply : Answer<K>>

/** Each room exports some of these; together they must cover the contract, each route once (checked at start). */
export type Handlers = { [K in RouteKey]: Handler<K> }
