import { connect as tlsConnect } from 'node:tls'
import { type ClientOptions, WebSocket } from 'ws'
import {
  CONTROL_MESSAGE_LIMIT,
  CONTROL_PROTOCOL,
  ControlDown,
  type ControlUp,
  HEARTBEAT_MS,
} from '../../broker/contract/link.ts'
import type { GatewayIdentity } from '../identity/identity.ts'
import { LINK_NAME } from './link-name.ts'

const MISSED_BEATS = 3
const FIRST_RETRY_MS = 250
const LONGEST_RETRY_MS = 10_000
/** Unsent bytes above which the broker counts as not reading. */
const SEND_LIMIT = 8 * 1024 * 1024

export interface ControlLinkHandlers {
  /** Said first on every connection. */
  hello(): Extract<ControlUp, { type: 'hello' }>
  /** The broker has answered: from now on it may be told things. Again when its keys have changed. */
  welcome(link: ControlLink, message: Extract<ControlDown, { type: 'welcome' }>): void
  message(link: ControlLink, message: Exclude<ControlDown, { type: 'welcome' }>): void
  lost(link: ControlLink, why: string): void
}

/** The control connection to one broker: dialled from here, kept up for ever, one JSON object of the contract a frame. */
export class ControlLink {
  readonly broker: string
  readonly #identity: GatewayIdentity
  readonly #handlers: ControlLinkHandlers
  #ws: WebSocket | null = null
  #up = false
  #attempt = 0
  #retry: NodeJS.Timeout | null = null
  #stopped = false

  constructor(broker: string, identity: GatewayIdentity, handlers: ControlLinkHandlers) {
    this.broker = broker
    this.#identity = identity
    this.#handlers = handlers
  }

  /** Greeted by the broker and alive. */
  get up(): boolean {
    return this.#up
  }

  start(): void {
    if (!this.#stopped) this.#dial()
  }

  stop(): void {
    this.#stopped = true
    if (this.#retry) clearTimeout(this.#retry)
    this.#ws?.close(1001, 'gateway stops')
    const ws = this.#ws
    setTimeout(() => ws?.terminate(), 500).unref()
  }

  send(message: ControlUp): boolean {
    const ws = this.#ws
    if (!ws || ws.readyState !== WebSocket.OPEN) return false
    if (ws.bufferedAmount > SEND_LIMIT) {
      ws.terminate()
      return false
    }
    ws.send(JSON.stringify(message))
    return true
  }

  #dial(): void {
    const url = new URL('/link/v1/control', this.broker.replace(/^https:/, 'wss:'))
    const { tls } = this.#identity
    const ws = new WebSocket(url, CONTROL_PROTOCOL, {
      // ws makes a connection of its own kind otherwise, and its types know no server name.
      createConnection: (() =>
        tlsConnect({
          host: url.hostname,
          port: Number(url.port || 443),
          servername: LINK_NAME,
          ca: tls.ca,
          cert: tls.certificate,
          key: tls.key.reveal(),
          minVersion: 'TLSv1.3',
        }).setNoDelay(true)) as unknown as NonNullable<ClientOptions['createConnection']>,
      perMessageDeflate: false,
      maxPayload: CONTROL_MESSAGE_LIMIT,
      handshakeTimeout: 10_000,
      followRedirects: false,
    })
    this.#ws = ws
    let heard = true
    let missed = 0
    let why = 'closed'
    const beat = setInterval(() => {
      missed = heard ? 0 : missed + 1
      heard = false
      if (missed >= MISSED_BEATS) {
        why = 'heartbeat-lost'
        ws.terminate()
      } else if (ws.readyState === WebSocket.OPEN) ws.ping()
    }, HEARTBEAT_MS)
    beat.unref()
    ws.on('open', () => {
      heard = true
      missed = 0
      // Refused by ws itself when the broker chose another protocol or none.
      this.send(this.#handlers.hello())
    })
    ws.on('pong', () => {
      heard = true
    })
    ws.on('ping', () => {
      heard = true
    })
    ws.on('message', (data, isBinary) => {
      heard = true
      const message = isBinary ? null : parse(data as Buffer)
      // A broker of another version must not be half understood.
      if (!message || (message.type !== 'welcome' && !this.#up)) {
        why = 'unknown-message'
        ws.close(4000, why)
        return
      }
      if (message.type === 'welcome') {
        this.#up = true
        this.#attempt = 0
        this.#handlers.welcome(this, message)
      } else this.#handlers.message(this, message)
    })
    ws.on('error', (error) => {
      why = error.message
    })
    ws.on('close', () => {
      clearInterval(beat)
      const wasUp = this.#up
      this.#up = false
      this.#ws = null
      if (wasUp || this.#attempt === 0) this.#handlers.lost(this, why)
      this.#again()
    })
  }

  /** Full jitter, so that a broker that comes back isn't met by all gateways at once. */
  #again(): void {
    if (this.#stopped) return
    const most = Math.min(LONGEST_RETRY_MS, FIRST_RETRY_MS * 2 ** this.#attempt)
    this.#attempt = Math.min(this.#attempt + 1, 10)
    this.#retry = setTimeout(() => this.#dial(), most / 4 + Math.random() * most * 0.75)
  }
}

function parse(data: Buffer): ControlDown | null {
  try {
    const parsed = ControlDown.safeParse(JSON.parse(data.toString('utf8')))
    return parsed.success ? parsed.data : null
  } catch {
    return null
  }
}
