import type { IncomingMessage } from 'node:http'
import type { Duplex } from 'node:stream'
import { TERMINAL_PROTOCOL, TICKET_PROTOCOL_PREFIX } from '../contract/terminal.ts'

/** The few things of a browser's upgrade that cross to a gateway; everything else stays here. */
export interface BrowserHandshake {
  key: string
  extensions: string | null
  ticket: string
}

export type HandshakeRefusal = 'bad-upgrade' | 'early-bytes' | 'bad-protocol' | 'no-ticket'

const KEY = /^[A-Za-z0-9+/]{22}==$/
/** RFC 6455 section 9.1 without quoted strings: nothing that could end a header line. */
const EXTENSIONS = /^[A-Za-z0-9_\-;=, ]{1,512}$/
const COMPACT_JWS = /^[A-Za-z0-9_-]+\.[A-Za-z0-9_-]+\.[A-Za-z0-9_-]+$/

/**
 * Reads a browser's WebSocket upgrade (RFC 6455 section 4.2.1). Bytes that came before the answer are refused: they
 * could be a second request on its way to the gateway.
 */
export function readHandshake(
  request: IncomingMessage,
  head: Buffer,
): { ok: true; handshake: BrowserHandshake } | { ok: false; refusal: HandshakeRefusal } {
  const refuse = (refusal: HandshakeRefusal) => ({ ok: false as const, refusal })
  const { headers } = request
  if (
    request.method !== 'GET' ||
    request.httpVersion !== '1.1' ||
    headers.upgrade?.toLowerCase() !== 'websocket' ||
    headers['sec-websocket-version'] !== '13' ||
    headers['content-length'] !== undefined ||
    headers['transfer-encoding'] !== undefined
  )
    return refuse('bad-upgrade')
  const key = headers['sec-websocket-key']
  if (typeof key !== 'string' || !KEY.test(key)) return refuse('bad-upgrade')
  if (head.length > 0) return refuse('early-bytes')
  const extensions = headers['sec-websocket-extensions'] ?? null
  if (extensions !== null && !EXTENSIONS.test(extensions)) return refuse('bad-upgrade')
  const offered = (headers['sec-websocket-protocol'] ?? '').split(',').map((item) => item.trim())
  if (!offered.includes(TERMINAL_PROTOCOL)) return refuse('bad-protocol')
  const tickets = offered.filter((item) => item.startsWith(TICKET_PROTOCOL_PREFIX))
  const ticket = tickets[0]?.slice(TICKET_PROTOCOL_PREFIX.length)
  if (tickets.length !== 1 || !ticket || ticket.length > 4096 || !COMPACT_JWS.test(ticket))
    return refuse('no-ticket')
  return { ok: true, handshake: { key, extensions, ticket } }
}

/** The request that the gateway gets: written afresh, so no cookie, authorization or forwarded header can be in it. */
export function freshRequest(session: string, handshake: BrowserHandshake, ticketHeader: string): string {
  return [
    `GET /ws/sessions/${session} HTTP/1.1`,
    // HTTP/1.1 wants a host; it is no address of anything.
    'Host: gateway.invalid',
    'Connection: Upgrade',
    'Upgrade: websocket',
    'Sec-WebSocket-Version: 13',
    `Sec-WebSocket-Key: ${handshake.key}`,
    `Sec-WebSocket-Protocol: ${TERMINAL_PROTOCOL}`,
    ...(handshake.extensions === null ? [] : [`Sec-WebSocket-Extensions: ${handshake.extensions}`]),
    `${ticketHeader}: ${handshake.ticket}`,
    '',
    '',
  ].join('\r\n')
}

export interface GatewayAnswer {
  status: number
  accept: string | null
  extensions: string | null
}

const HEAD_LIMIT = 8 * 1024

/**
 * Reads the head of the gateway's answer, at most 8 KiB, and leaves the bytes after it in the socket. Null when the
 * leg ends, or stays silent for `deadlineMs`. A gateway that was taken over must not set a cookie or any other
 * header in the broker's origin, so the head is not passed on: `freshAnswer` writes another.
 */
export function readAnswer(socket: Duplex, deadlineMs: number): Promise<GatewayAnswer | null> {
  const { promise, resolve } = Promise.withResolvers<GatewayAnswer | null>()
  let seen = Buffer.alloc(0)
  const finish = (answer: GatewayAnswer | null) => {
    clearTimeout(timer)
    socket.off('readable', onReadable).off('end', onGone).off('close', onGone).off('error', onGone)
    resolve(answer)
  }
  const onGone = () => finish(null)
  const onReadable = () => {
    for (let chunk = socket.read() as Buffer | null; chunk !== null; chunk = socket.read() as Buffer | null) {
      seen = Buffer.concat([seen, chunk])
      const end = seen.indexOf('\r\n\r\n')
      if (end >= 0 && end <= HEAD_LIMIT) {
        const rest = seen.subarray(end + 4)
        socket.pause()
        if (rest.length > 0) socket.unshift(rest)
        finish(parseAnswer(seen.subarray(0, end).toString('latin1')))
        return
      }
      if (seen.length > HEAD_LIMIT) {
        finish(null)
        return
      }
    }
  }
  const timer = setTimeout(() => finish(null), deadlineMs)
  timer.unref()
  socket.on('readable', onReadable).once('end', onGone).once('close', onGone).once('error', onGone)
  return promise
}

function parseAnswer(head: string): GatewayAnswer | null {
  const [first = '', ...lines] = head.split('\r\n')
  const status = Number(/^HTTP\/1\.1 (\d{3})(?: |$)/.exec(first)?.[1] ?? 0)
  if (status === 0) return null
  const header = (name: string): string | null => {
    const found = lines.find((line) => line.toLowerCase().startsWith(`${name}:`))
    return found === undefined ? null : found.slice(name.length + 1).trim()
  }
  const accept = header('sec-websocket-accept')
  const extensions = header('sec-websocket-extensions')
  if (status === 101) {
    if (accept === null || !/^[A-Za-z0-9+/]{27}=$/.test(accept)) return null
    if (extensions !== null && !EXTENSIONS.test(extensions)) return null
  }
  return { status, accept, extensions }
}

/** The broker's own 101 towards the browser. */
export function freshAnswer(answer: GatewayAnswer): string {
  return [
    'HTTP/1.1 101 Switching Protocols',
    'Connection: Upgrade',
    'Upgrade: websocket',
    `Sec-WebSocket-Accept: ${answer.accept ?? ''}`,
    `Sec-WebSocket-Protocol: ${TERMINAL_PROTOCOL}`,
    ...(answer.extensions === null ? [] : [`Sec-WebSocket-Extensions: ${answer.extensions}`]),
    '',
    '',
  ].join('\r\n')
}

const REASONS: Record<number, string> = {
  400: 'Bad Request',
  401: 'Unauthorized',
  403: 'Forbidden',
  404: 'Not Found',
  409: 'Conflict',
  426: 'Upgrade Required',
  429: 'Too Many Requests',
  502: 'Bad Gateway',
  503: 'Service Unavailable',
  504: 'Gateway Timeout',
}

/** Answers an upgrade with an error and closes. The code is for our own page's console; it names no secret. */
export function refuseUpgrade(socket: Duplex, status: number, code: string): void {
  socket.on('error', () => undefined)
  if (socket.destroyed || !socket.writable) {
    socket.destroy()
    return
  }
  const body = JSON.stringify({ code })
  socket.end(
    `HTTP/1.1 ${status} ${REASONS[status] ?? 'Error'}\r\nConnection: close\r\nContent-Type: application/json\r\n` +
      `Cache-Control: no-store\r\nContent-Length: ${Buffer.byteLength(body)}\r\n\r\n${body}`,
  )
  socket.once('finish', () => socket.destroy())
  // A peer that doesn't read must not keep it.
  setTimeout(() => socket.destroy(), 2_000).unref()
}
