import WebSocket from 'ws'
import { TERMINAL_PROTOCOL, TICKET_PROTOCOL_PREFIX } from '../../../broker/contract/terminal.ts'
import type { OpenSession } from './own-plant.ts'

/** The socket that a browser opens for its session. */
export function sessionSocket(session: OpenSession): WebSocket {
  return new WebSocket(
    `wss://127.0.0.1:${session.port}${session.socket}`,
    [TERMINAL_PROTOCOL, `${TICKET_PROTOCOL_PREFIX}${session.ticket}`],
    {
      ca: session.ca,
      headers: {
        host: `${session.host}:${session.port}`,
        origin: session.origin,
        cookie: session.cookie,
      },
      perMessageDeflate: false,
      // The public name is not resolved here; the certificate is checked against it all the same.
      ...({ servername: session.host } as object),
    },
  )
}
