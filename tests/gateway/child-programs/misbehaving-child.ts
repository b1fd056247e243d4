import { writeSync } from 'node:fs'
import { ChildPipe, standReady } from '../../../gateway/desktop/child/child-pipe.ts'

/** Does what its first message says: a decoder in every bad state that a session must survive. */
const pipe = new ChildPipe()
standReady(pipe)
const order = new TextDecoder().decode(pipe.receive()?.payload)
const held: Uint8Array[] = []
if (order === 'eat memory') for (;;) held.push(new Uint8Array(4 * 1024 * 1024).fill(1))
if (order === 'spin') for (;;);
if (order === 'die') process.exit(3)
if (order === 'impossible length') writeSync(1, Uint8Array.of(255, 255, 255, 255, 2))
if (order === 'unknown message') pipe.send(77)
if (order === 'flood') for (;;) pipe.send(64, new Uint8Array(100_000))
pipe.flush()
pipe.receive()
