import { request } from 'node:http'
import { type SecureContext, type TLSSocket, connect as tlsConnect } from 'node:tls'
import { SPLICE_UPGRADE } from '../../broker/contract/link.ts'
import { LINK_NAME } from '../link/link-name.ts'

const DIAL_DEADLINE_MS = 10_000

/** Dials the broker for one browser. Null when it could not be reached or would not have it. */
export function dialSplice(
  broker: string,
  splice: string,
  context: SecureContext,
): Promise<TLSSocket | null> {
  const url = new URL(broker)
  return new Promise((done) => {
    const call = request({
      createConnection: () =>
        tlsConnect({
          host: url.hostname,
          port: Number(url.port || 443),
          servername: LINK_NAME,
          secureContext: context,
          minVersion: 'TLSv1.3',
        }),
      host: LINK_NAME,
      path: `/link/v1/splice/${splice}`,
      headers: { connection: 'Upgrade', upgrade: SPLICE_UPGRADE },
    })
    const deadline = setTimeout(() => call.destroy(new Error('no answer to the splice')), DIAL_DEADLINE_MS)
    const failed = () => {
      clearTimeout(deadline)
      done(null)
    }
    call.on('error', failed)
    call.on('response', (answer) => {
      answer.resume()
      call.destroy()
      failed()
    })
    call.on('upgrade', (answer, duplex, head) => {
      clearTimeout(deadline)
      const socket = duplex as TLSSocket
      if (answer.statusCode !== 101 || answer.headers.upgrade !== SPLICE_UPGRADE) {
        socket.destroy()
        done(null)
        return
      }
      socket.setTimeout(0)
      socket.setNoDelay(true)
      socket.setKeepAlive(true, 15_000)
      // The browser's request may have come in one segment with the 101.
      if (head.length > 0) socket.unshift(head)
      done(socket)
    })
    call.end()
  })
}
