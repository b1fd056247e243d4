export type { Context, Handler, Handlers } from '../contract/handler.ts'
