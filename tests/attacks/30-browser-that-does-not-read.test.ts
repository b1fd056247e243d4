import type { AddressInfo } from 'node:net'
import { expect, it } from 'vitest'
import { WebSocket, WebSocketServer } from 'ws'
import { WebSocketBrowser } from '../../gateway/edge/web-socket-browser.ts'

/*
 * Threat 30: acknowledgements and pings come from the browser, so it can ask for more without taking any of it. Red
 * without the limit in `#reads` of gateway/edge/web-socket-browser.ts.
 */

const MIB = 1024 * 1024

it('a browser that reads nothing, whatever it acknowledges, is dropped before it costs much memory', async () => {
  const server = new WebSocketServer({ host: '127.0.0.1', port: 0, perMessageDeflate: false })
  await new Promise((resolve) => server.once('listening', resolve))
  const accepted = new Promise<WebSocket>((resolve) => server.once('connection', resolve))
  const client = new WebSocket(`ws://127.0.0.1:${(server.address() as AddressInfo).port}`)
  try {
    const ws = await accepted
    await new Promise((resolve) => (client.readyState === 1 ? resolve(null) : client.once('open', resolve)))
    client.pause()
    const browser = new WebSocketBrowser(ws)
    let closed = false
    browser.listen({
      message: () => undefined,
      bytes: () => undefined,
      closed: () => {
        closed = true
      },
    })
    let most = 0
    for (let sent = 0; sent < 64 * MIB && !closed; sent += MIB) {
      browser.send(Buffer.alloc(MIB))
      most = Math.max(most, browser.queued)
      await new Promise((resolve) => setImmediate(resolve))
    }
    await expect.poll(() => closed).toBe(true)
    expect(most).toBeLessThan(24 * MIB)
  } finally {
    client.terminate()
    server.close()
  }
})
