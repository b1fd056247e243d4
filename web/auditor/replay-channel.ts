import type { NoVncChannel } from '@novnc/novnc'

type Bytes = Uint8Array<ArrayBuffer>

/** What is given to noVNC before it has to say that it has drawn it. Its buffer takes 40 MiB. */
const PIECE = 1024 * 1024
const FENCE = 248
/** A request, answered when everything before it is drawn. */
const FENCE_FLAGS = 0x8000_0001
/** Lengths of what noVNC says of itself, by type; none of it matters here but the answers to fences. */
const SAYS = new Map([
  [0, 20],
  [3, 10],
  [4, 8],
  [5, 6],
  [150, 10],
])

/**
 * A recording in place of a server: greets noVNC, then gives it whole messages at the pace at which it draws them. A
 * restart drops what has not been given yet and begins with a keyframe, in the same noVNC, so the picture does not flicker.
 */
export class ReplayChannel implements NoVncChannel {
  readonly readyState = 1
  readonly protocol = ''
  binaryType: BinaryType = 'arraybuffer'
  onopen: NoVncChannel['onopen'] = null
  onclose: NoVncChannel['onclose'] = null
  onerror: NoVncChannel['onerror'] = null
  #onmessage: NoVncChannel['onmessage'] = null
  #phase: 'version' | 'security' | 'init' | 'ready' = 'version'
  #init: Bytes | null = null
  #queue: Bytes[] = []
  #fence = 0
  #isDrawing = false
  #settled: (() => void)[] = []

  get onmessage(): NoVncChannel['onmessage'] {
    return this.#onmessage
  }

  /** noVNC takes bytes only once its constructor is through. */
  set onmessage(listener: NoVncChannel['onmessage']) {
    this.#onmessage = listener
    if (listener && this.#phase === 'version') this.#give(new TextEncoder().encode('RFB 003.008\n'))
  }

  /** Shows the screen that a keyframe restores. `init`: its ServerInit. */
  restart(init: Bytes, keyframe: readonly Bytes[]): void {
    const isFirst = this.#init === null
    this.#init ??= init
    this.#queue = isFirst ? [] : [desktopSize(init)]
    this.#queue.push(...keyframe)
    this.#begin()
    this.#pump()
  }

  /** Shows what came next. */
  send(said: Bytes | readonly Bytes[]): void {
    // noVNC calls it with what it says, a recording with what it shows.
    if (said instanceof Uint8Array) this.#hear(said)
    else {
      this.#queue.push(...said)
      this.#pump()
    }
  }

  /** Settles when everything that was given is drawn. */
  drawn(): Promise<void> {
    if (!this.#isDrawing && this.#queue.length === 0) return Promise.resolve()
    return new Promise((resolve) => this.#settled.push(resolve))
  }

  close(): void {
    const listener = this.onclose
    this.#onmessage = null
    this.#queue = []
    queueMicrotask(() => listener?.({ code: 1000, reason: '', wasClean: true }))
  }

  #hear(bytes: Bytes): void {
    if (this.#phase === 'version') {
      this.#phase = 'security'
      this.#give(Uint8Array.of(1, 1))
    } else if (this.#phase === 'security') {
      this.#phase = 'init'
      this.#give(new Uint8Array(4))
    } else if (this.#phase === 'init') {
      this.#begin()
    } else {
      this.#hearFences(bytes)
    }
  }

  /** noVNC's ClientInit has come, or the first keyframe: the later of both. */
  #begin(): void {
    if (this.#phase !== 'init' || !this.#init) return
    this.#phase = 'ready'
    this.#give(this.#init)
    this.#pump()
  }

  #hearFences(bytes: Bytes): void {
    const view = new DataView(bytes.buffer, bytes.byteOffset, bytes.byteLength)
    for (let at = 0; at < bytes.length; ) {
      const type = view.getUint8(at)
      if (type === FENCE) {
        if (view.getUint32(at + 9) === this.#fence) this.#isDrawing = false
        at += 9 + view.getUint8(at + 8)
      } else if (type === 2) at += 4 + 4 * view.getUint16(at + 2)
      else at += SAYS.get(type) ?? bytes.length
    }
    this.#pump()
  }

  #pump(): void {
    if (this.#phase !== 'ready' || this.#isDrawing) return
    let given = 0
    while (given < PIECE) {
      const message = this.#queue.shift()
      if (!message) break
      given += message.length
      this.#give(message)
    }
    if (given > 0) {
      this.#isDrawing = true
      this.#fence += 1
      this.#give(fence(this.#fence))
      return
    }
    for (const settle of this.#settled.splice(0)) settle()
  }

  #give(bytes: Bytes): void {
    // A copy: noVNC may keep what it is given, and a segment is shown again. Later: noVNC speaks from inside its reading,
    // and must not be given the next message there.
    const data = bytes.slice().buffer
    queueMicrotask(() => this.#onmessage?.({ data }))
  }
}

/** An update that gives the screen the size that ServerInit says. */
function desktopSize(init: Bytes): Bytes {
  const message = new Uint8Array(16)
  const view = new DataView(message.buffer)
  view.setUint16(2, 1)
  message.set(init.subarray(0, 4), 8)
  view.setInt32(12, -223)
  return message
}

function fence(number: number): Bytes {
  const message = new Uint8Array(13)
  const view = new DataView(message.buffer)
  view.setUint8(0, FENCE)
  view.setUint32(4, FENCE_FLAGS)
  view.setUint8(8, 4)
  view.setUint32(9, number)
  return message
}
