import { type ConnectionOptions, connect } from 'node:tls'
import { WebSocket } from 'ws'
import {
  TERMINAL_PROTOCOL,
  type TerminalDown,
  TICKET_PROTOCOL_PREFIX,
} from '../../broker/contract/terminal.ts'
import type { ApiClient, ConnectTo } from './api-client.ts'
import { until } from './until.ts'

/** The browser's end of a session socket, without the browser: acknowledges, and keeps what came. */
export class Terminal {
  readonly ws: WebSocket
  readonly messages: TerminalDown[] = []
  output = ''
  closed: { code: number; reason: string } | null = null

  private constructor(ws: WebSocket) {
    this.ws = ws
    ws.on('message', (data, binary) => {
      const bytes = data as Buffer
      if (binary) {
        this.output += bytes.toString('utf8')
        if (ws.readyState === WebSocket.OPEN) ws.send(JSON.stringify({ type: 'ack', bytes: bytes.length }))
      } else this.messages.push(JSON.parse(bytes.toString('utf8')) as TerminalDown)
    })
    ws.on('close', (code, reason) => {
      this.closed = { code, reason: String(reason) }
    })
    ws.on('error', () => undefined)
  }

  static connect(
    opening: { socket: string; ticket: string },
    who: ApiClient,
    at: {
      ca: string
      connectTo: ConnectTo
      /** Of the page that asks; the plant's own by default. */
      origin?: string
    },
  ): Promise<Terminal> {
    const url = new URL(opening.socket, who.origin.replace(/^http/, 'ws'))
    const to = 'socketPath' in at.connectTo ? { path: at.connectTo.socketPath } : at.connectTo
    return new Promise((resolve, reject) => {
      const ws = new WebSocket(url, [TERMINAL_PROTOCOL, `${TICKET_PROTOCOL_PREFIX}${opening.ticket}`], {
        createConnection: (() =>
          connect({
            ...to,
            ca: at.ca,
            servername: url.hostname,
            ALPNProtocols: ['http/1.1'],
          } as ConnectionOptions)) as never,
        perMessageDeflate: false,
        origin: at.origin ?? who.origin,
        headers: { cookie: who.cookieHeader() },
      })
      const terminal = new Terminal(ws)
      ws.on('open', () => resolve(terminal))
      ws.on('unexpected-response', (_request, response) => {
        let body = ''
        response.on('data', (chunk) => {
          body += chunk
        })
        response.on('end', () => {
          const { statusCode: status } = response
          reject(Object.assign(new Error(`HTTP ${status} ${body}`), { status }))
        })
      })
      ws.on('error', reject)
    })
  }

  start(): void {
    this.ws.send(JSON.stringify({ type: 'start', cols: 80, rows: 24 }))
  }

  type(text: string): void {
    this.ws.send(Buffer.from(text), { binary: true })
  }

  leave(): void {
    this.ws.send(JSON.stringify({ type: 'leave' }))
  }

  async sees(words: string, withinMs = 20_000): Promise<void> {
    await until(() => this.output.includes(words), `"${words}" on the screen`, withinMs)
  }

  last<T extends TerminalDown['type']>(type: T): (TerminalDown & { type: T }) | undefined {
    return this.messages.findLast((message): message is TerminalDown & { type: T } => message.type === type)
  }

  /** The newest state message, once it is this one. */
  async state(
    state: (TerminalDown & { type: 'state' })['state'],
    withinMs = 20_000,
  ): Promise<TerminalDown & { type: 'state' }> {
    await until(
      () => this.last('state')?.state === state,
      `state ${state} (is ${JSON.stringify(this.last('state'))})`,
      withinMs,
    )
    return this.last('state') as TerminalDown & { type: 'state' }
  }
}
