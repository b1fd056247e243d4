import { access } from 'node:fs/promises'
import path from 'node:path'
import fastifyStatic from '@fastify/static'
import type { FastifyInstance, FastifyReply, FastifyRequest } from 'fastify'
import { notFound } from '../domain/failure.ts'

/** Paths that are never a page: an unknown one is an error, not the application's start page. */
const NOT_PAGES = /^\/(api|auth|ws|link|healthz|trust)(\/|$)/
/** Files with a hash in their name (Vite's `assets/`) never change. */
const HASHED = /[/\\]assets[/\\][^/\\]+-[\w-]{8,}\.[a-z0-9.]+$/

/**
 * The built web files: hashed assets for ever, everything else asked for again, and the start page for every other
 * path, because the web application routes inside the browser. Nothing outside `webDir` is ever read.
 */
export async function registerWeb(app: FastifyInstance, webDir: string): Promise<void> {
  const root = path.resolve(webDir)
  await app.register(fastifyStatic, {
    root,
    serve: false,
    index: false,
    cacheControl: false,
    preCompressed: true,
    setHeaders: (reply, file) => {
      const cache = HASHED.test(file) ? 'public, max-age=31536000, immutable' : 'no-cache'
      reply.header('cache-control', cache)
    },
  })
  app.get(
    '/*',
    { schema: { hide: true } as object },
    async (request: FastifyRequest, reply: FastifyReply) => {
      const name = request.url.split('?', 1)[0] ?? '/'
      // Only names that a build makes: no percent signs, no `..`, no hidden files.
      if (NOT_PAGES.test(name) || !/^\/[\w@~.,/-]*$/.test(name) || /(^|\/)\./.test(name))
        throw notFound('page')
      if (/\.[a-z0-9]+$/i.test(name)) return reply.sendFile(name.slice(1))
      const built = await access(path.join(root, 'index.html')).then(
        () => true,
        () => false,
      )
      if (!built) {
        return reply
          .code(503)
          .type('text/html; charset=utf-8')
          .send(
            '<!doctype html><title>Sallyport</title><p>The pages have not been built. Run npm run build.</p>',
          )
      }
      return reply.sendFile('index.html')
    },
  )
}
