import { readFile } from 'node:fs/promises'
import { request } from 'node:https'
import path from 'node:path'
import { expect, it } from 'vitest'
import { LINK_NAME } from '../../broker/link/link-authority.ts'
import { loadIdentity } from '../../gateway/identity/identity.ts'
import { BESIDE_THE_PAGES, type System } from './system.ts'

const UP = [
  '..',
  '%2e%2e',
  '.%2e',
  '%252e%252e',
  '..;',
  '..%00',
  '..%5c..',
  '....//..',
  '%c0%ae%c0%ae',
  '．．',
]
const SLASHES = ['/', '%2f', '\\', '%5c', '//', '%252f']

/** Threat 20: a path that leads out of its folder, in a browser's requests and in a gateway's uploads. */
export function pathTraversal(system: () => System): void {
  /** Written as it is: no client may normalise it. */
  const raw = (
    at: { port: number; servername: string; host: string; tls: object },
    method: string,
    target: string,
    headers: Record<string, string> = {},
  ) =>
    new Promise<{ status: number; text: string }>((resolve, reject) => {
      const outgoing = request(
        {
          host: '127.0.0.1',
          port: at.port,
          servername: at.servername,
          ...at.tls,
          method,
          path: target,
          headers: { host: at.host, ...headers },
          agent: false,
        },
        (incoming) => {
          const chunks: Buffer[] = []
          incoming.on('data', (chunk: Buffer) => chunks.push(chunk))
          incoming.on('end', () =>
            resolve({ status: incoming.statusCode ?? 0, text: Buffer.concat(chunks).toString('latin1') }),
          )
        },
      )
      outgoing.on('error', reject)
      outgoing.end(method === 'PUT' ? 'x' : undefined)
    })

  it('no spelling of "up" leads out of the pages, nor from an object’s key to another', async () => {
    const { story, plant } = system()
    const { host, port } = new URL(plant.origin)
    const web = { port: Number(port), servername: plant.host, host, tls: { ca: plant.ca ?? '' } }
    const cookie = story.paul.cookieHeader()
    const id = '0192f7a0-0000-7000-8000-000000000001'
    const targets = UP.flatMap((up) =>
      SLASHES.flatMap((slash) => [
        `/${up}${slash}secret.txt`,
        `/assets${slash}${up}${slash}${up}${slash}secret.txt`,
        `/assets/${up}${slash}.hidden`,
        `/api/recordings/${up}${slash}${id}`,
        `/api/recordings/${id}/screen/${up}${slash}0`,
        `/trust/${up}${slash}secret.txt`,
      ]),
    ).concat(['/.hidden', '/assets/.hidden', '/api/recordings/..', '/api/requests/%2e%2e'])
    // A name that no URL may have is written by nobody's browser; the parser ends it before any of this.
    for (const target of targets.filter((one) => !/[^\x21-\x7e]/.test(one))) {
      const { status, text } = await raw(web, 'GET', target, { cookie })
      expect([400, 404], `${target} -> ${status}`).toContain(status)
      expect(text, target).not.toContain(BESIDE_THE_PAGES)
    }
    expect((await raw(web, 'GET', '/')).status).toBe(200)
  })

  it('a gateway puts evidence under its own recordings only, and nothing anywhere else', async () => {
    const { plant, story, machine } = system()
    const robot = await machine()
    const { terminal, id } = await story.session(robot)
    terminal.leave()
    await story.ended(id, { end: 'vendor-left', sentence: /./, recording: 'complete' })
    const { recordingId } = await story.view(id)
    const { tls } = await loadIdentity(path.join(plant.dataDir, 'gateway'))
    const link = {
      port: plant.broker.link.port,
      servername: LINK_NAME,
      host: LINK_NAME,
      tls: { ca: tls.ca, cert: tls.certificate, key: tls.key.reveal() },
    }
    const headers = {
      'content-length': '1',
      'x-sallyport-sha256': '2d711642b726b04401627ca9fbac32f5c8530fb1903cc4db02258717921a4881',
    }
    const put = (target: string) => raw(link, 'PUT', `/link/v1/evidence/${target}`, headers)
    for (const target of [
      `${recordingId}/../../../broker/keys/owned.spr`,
      `${recordingId}/screen/../../../../owned.spr`,
      `${recordingId}/screen/%2e%2e%2fowned.spr`,
      `${recordingId}/screen/0.spr/../1.spr`,
      `..%2f..%2fowned/screen/0.spr`,
      `${recordingId}/keys/../screen/7.spr`,
      `${recordingId}/owned`,
    ])
      expect((await put(target)).status, target).toBe(404)
    // The way is open for what is its own, and only until the recording is whole.
    expect((await put(`${recordingId}/screen/7.spr`)).status).toBe(409)
    await expect(readFile(path.join(plant.dataDir, 'owned.spr'))).rejects.toMatchObject({ code: 'ENOENT' })
  })
}
