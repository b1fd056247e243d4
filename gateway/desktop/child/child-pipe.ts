import { readSync, writeSync } from 'node:fs'
import { networkInterfaces } from 'node:os'
import { type ChildStanding, FROM_CHILD, FrameReader, frameHeader } from './frames.ts'

const READ_SIZE = 64 * 1024
const WRITE_SIZE = 128 * 1024
/** User ids that nobody has; one for each child, so that no child may signal another. */
const OWN_UID_BASE = 0x70000000

export interface Message {
  type: number
  payload: Uint8Array
}

/**
 * The child's end of the pipes, blocking on purpose: a decoder that may wait for its next byte is straight-line code,
 * and the pipe's own buffers are the back-pressure both ways. Output is sent before the child waits for input.
 */
export class ChildPipe {
  readonly #input = new Uint8Array(READ_SIZE)
  readonly #reader = new FrameReader()
  readonly #queue: Message[] = []
  readonly #output = new Uint8Array(WRITE_SIZE)
  #filled = 0

  /** The next message of the session, or null when it has closed the pipe. */
  receive(): Message | null {
    for (;;) {
      const next = this.#queue.shift()
      if (next) return next
      this.flush()
      const count = readSync(0, this.#input)
      if (count === 0) return null
      this.#reader.push(this.#input.subarray(0, count), (type, payload) =>
        this.#queue.push({ type, payload }),
      )
    }
  }

  send(type: number, ...parts: Uint8Array[]): void {
    const length = parts.reduce((sum, part) => sum + part.length, 0)
    this.#write(frameHeader(type, length))
    for (const part of parts) this.#write(part)
  }

  flush(): void {
    let at = 0
    while (at < this.#filled) at += writeSync(1, this.#output, at, this.#filled - at)
    this.#filled = 0
  }

  #write(bytes: Uint8Array): void {
    let rest = bytes
    while (rest.length > 0) {
      const piece = rest.subarray(0, WRITE_SIZE - this.#filled)
      this.#output.set(piece, this.#filled)
      this.#filled += piece.length
      rest = rest.subarray(piece.length)
      if (this.#filled === WRITE_SIZE) this.flush()
    }
  }
}

/**
 * Gives up root for a user id of this process's own, then says that everything is loaded. Done here and not by the
 * launcher, because a user of its own may not read a checkout in an administrator's home.
 */
export function standReady(pipe: ChildPipe): void {
  if (process.argv.includes('--own-uid')) {
    const uid = OWN_UID_BASE + process.pid
    process.setgroups?.([])
    process.setgid?.(uid)
    process.setuid?.(uid)
  }
  const standing: ChildStanding = {
    uid: process.getuid?.() ?? -1,
    networkInterfaces: Object.keys(networkInterfaces()).length,
  }
  pipe.send(FROM_CHILD.ready, new TextEncoder().encode(JSON.stringify(standing)))
  pipe.flush()
}
