import { Backend, displayControl, enableCredssp } from '@devolutions/iron-remote-desktop-rdp'
import type { Painter } from '../child/paint-writer.ts'
import { isDesktopSize, MAX_CLIPBOARD_BYTES } from '../limits.ts'
import { Violation } from '../violation.ts'
import { DrawnCanvas } from './ironrdp/canvas.ts'
import { readIronError } from './ironrdp/engine.ts'
import { type LoopbackWebSocket, leadNextTo } from './ironrdp/loopback-socket.ts'
import { ASKED } from './protocols.ts'
import type { RdpConnection, RdpOpeningFailure, RdpStart } from './rdp-frames.ts'
import { ClientStream } from './stream/client-stream.ts'
import { ARROW, Pointers } from './stream/pointers.ts'
import { ServerStream } from './stream/server-stream.ts'

/** The proxy and the server by name: nothing is looked up, IronRDP only wants them to be there. */
const PROXY = 'ws://session.invalid/'
const DESTINATION = 'asset:3389'
const TEXT = 'text/plain'
/** The second message of CredSSP with NTLM proves that the password is known. */
const AUTHENTICATED = 2

type IronSession = Awaited<ReturnType<InstanceType<typeof Backend.SessionBuilder>['connect']>>
type IronClipboard = InstanceType<typeof Backend.ClipboardData>

export interface RdpDecoderEvents extends Painter {
  opened(): void
  /** For the asset. */
  bytes(bytes: Uint8Array): void
  failed(why: RdpOpeningFailure): void
  takes(flags: number): void
  errorInfo(code: number): void
  closed(): void
  /** A fault of ours or IronRDP's; the process cannot go on. */
  broken(error: unknown): void
}

/** IronRDP between a session's pipes: one sign-in, and as many connections as there are sizes. */
export class RdpDecoder {
  readonly #start: RdpStart
  readonly #password: string
  readonly #events: RdpDecoderEvents
  #connection: Connection | null = null

  constructor(start: RdpStart, password: string, events: RdpDecoderEvents) {
    this.#start = start
    this.#password = password
    this.#events = events
  }

  connect(to: RdpConnection): void {
    this.#connection?.drop()
    this.#connection = new Connection({ ...this.#start, ...to }, this.#password, this.#events)
  }

  run(): void {
    this.#connection?.run()
  }

  /** What the asset sent. Throws Violation. */
  bytes(chunk: Uint8Array): void {
    this.#connection?.bytes(chunk)
  }

  clipboard(text: string): void {
    this.#connection?.paste(text)
  }

  /** Shows what has been drawn. */
  flush(): void {
    this.#connection?.flush()
  }

  /** The asset has closed the connection. */
  lost(): void {
    this.#connection?.lost()
  }
}

class Connection {
  readonly #words: RdpStart
  readonly #events: RdpDecoderEvents
  readonly #canvas: DrawnCanvas
  readonly #client: ClientStream
  readonly #server: ServerStream
  #socket: LoopbackWebSocket | null = null
  #session: IronSession | null = null
  /** Messages of CredSSP that were sent. */
  #tokens = 0
  #said: { width: number; height: number } | null = null
  #isOver = false

  constructor(words: RdpStart, password: string, events: RdpDecoderEvents) {
    this.#words = words
    this.#events = events
    this.#canvas = new DrawnCanvas(events, words.width, words.height)
    this.#client = new ClientStream(words)
    this.#server = new ServerStream({
      pointers: new Pointers((cursor) => events.cursor(cursor)),
      desktop: () => this.#canvas,
      hasClipboard: words.clipboard.in || words.clipboard.out,
      ioChannel: () => this.#client.ioChannel,
      takes: (flags) => events.takes(flags),
      size: (width, height) => this.#sized(width, height),
      errorInfo: (code) => events.errorInfo(code),
    })
    leadNextTo({
      confirm: Buffer.from(words.confirm, 'base64'),
      certificate: Buffer.from(words.certificate, 'base64'),
      protocols: ASKED[words.nla ? 'nla' : 'tls'],
      made: (socket) => {
        this.#socket = socket
      },
      send: (bytes) => {
        if (this.#isOver) return
        const said = this.#client.push(bytes)
        if (!this.#client.isPackets) this.#tokens += 1
        events.bytes(said)
      },
    })
    this.#builder(password)
      .connect()
      .then(
        (session) => this.#opened(session),
        (error) => this.#failed(error),
      )
  }

  #builder(password: string): InstanceType<typeof Backend.SessionBuilder> {
    const { user, domain, width, height, nla, clipboard } = this.#words
    const builder = new Backend.SessionBuilder()
      .username(user)
      .password(password)
      .serverDomain(domain)
      .destination(DESTINATION)
      .proxyAddress(PROXY)
      .authToken('-')
      .desktopSize(new Backend.DesktopSize(width, height))
      .renderCanvas(this.#canvas as unknown as HTMLCanvasElement)
      .setCursorStyleCallback(() => {})
      .setCursorStyleCallbackContext(null)
      .extension(enableCredssp(nla))
      .extension(displayControl(false))
    // Without these there is no clipboard channel at all.
    if (!clipboard.in && !clipboard.out) return builder
    return builder
      .remoteClipboardChangedCallback((data: IronClipboard) => this.#copied(data))
      .forceClipboardUpdateCallback(() => this.#answerClipboard())
  }

  bytes(chunk: Uint8Array): void {
    this.#socket?.receive(this.#client.isPackets ? this.#server.push(chunk) : chunk)
  }

  run(): void {
    this.#session?.run().then(
      () => this.#ended(),
      (error) => this.#ended(error),
    )
  }

  paste(text: string): void {
    if (!this.#words.clipboard.in) return
    const data = new Backend.ClipboardData()
    data.addText(TEXT, text)
    this.#session?.onClipboardPaste(data).catch(() => {})
  }

  flush(): void {
    if (!this.#canvas.isDirty) return
    this.#canvas.isDirty = false
    this.#events.flush()
  }

  /** Some servers say no to a sign-in by hanging up in the middle of CredSSP. */
  lost(): void {
    if (this.#isOver || !this.#words.nla || this.#client.isPackets || this.#tokens < AUTHENTICATED) return
    this.#isOver = true
    this.#events.failed('wrong-credential')
  }

  /** Says no more, whatever IronRDP has still to say. */
  drop(): void {
    this.#isOver = true
    this.#canvas.close()
    this.#socket?.close()
  }

  #opened(session: IronSession): void {
    if (this.#isOver) return
    this.#session = session
    // It may have said another one by now.
    const { width, height } = this.#said ?? session.desktopSize()
    this.#canvas.width = width
    this.#canvas.height = height
    this.#canvas.announce()
    this.#events.cursor(ARROW)
    // Nobody sees a size before it is flushed, and the recording begins with what there is to see.
    this.#events.flush()
    this.#events.opened()
  }

  /** IronRDP tells of no size but the first. */
  #sized(width: number, height: number): void {
    if (!isDesktopSize(width, height)) throw new Violation('an impossible desktop size')
    this.#said = { width, height }
    if (!this.#session) return
    this.#canvas.width = width
    this.#canvas.height = height
  }

  #failed(error: unknown): void {
    if (this.#isOver) return
    this.#isOver = true
    const { kind, text } = readIronError(error)
    if (kind === 'wrong-password') this.#events.failed('wrong-credential')
    else if (kind === 'logon-failure') this.#events.failed('wrong-credential')
    else if (kind === 'access-denied') this.#events.failed('logon-refused')
    else if (/licen[cs]/i.test(text)) this.#events.failed('licence')
    else this.#events.failed('protocol-violation')
  }

  #ended(error?: unknown): void {
    if (this.#isOver) return
    this.#isOver = true
    this.flush()
    // A panic is IronRDP's own fault and leaves its memory in an unknown state.
    if (error instanceof WebAssembly.RuntimeError) this.#events.broken(error)
    else this.#events.closed()
  }

  /** Text alone; everything else that was copied stays where it is. */
  #copied(data: IronClipboard): void {
    if (this.#isOver || !this.#words.clipboard.out) return
    for (const item of data.items()) {
      const value: unknown = item.mimeType() === TEXT ? item.value() : null
      if (typeof value === 'string' && value.length <= MAX_CLIPBOARD_BYTES / 4) {
        this.#events.clipboard(value)
        return
      }
    }
  }

  /** The asset asks what is in the browser's clipboard: nothing, until it is pasted. Unanswered, its next copy ends it all. */
  #answerClipboard(): void {
    setImmediate(() => this.#session?.onClipboardPaste(new Backend.ClipboardData()).catch(() => {}))
  }
}
