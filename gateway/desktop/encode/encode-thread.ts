import { parentPort } from 'node:worker_threads'
import { TILE_BYTES } from '../screen/grid.ts'
import type { EncodedJob, EncodeJob } from './messages.ts'
import { type EncodedRect, encodeRect } from './tight.ts'

/** Entry of an encoding thread: tiles in, Tight rectangles out, nothing kept from one job to the next. */
parentPort?.on('message', ({ id, pixels, sizes }: EncodeJob) => {
  const rects: EncodedRect[] = []
  for (let at = 0; at < sizes.length; at += 2) {
    const width = sizes[at] ?? 0
    const height = sizes[at + 1] ?? 0
    const tile = new Int32Array(pixels, (at / 2) * TILE_BYTES, width * height)
    rects.push(encodeRect(tile, width, height))
  }
  const bodies = new Uint8Array(rects.reduce((sum, { body }) => sum + body.length, 0))
  let at = 0
  for (const { body } of rects) {
    bodies.set(body, at)
    at += body.length
  }
  const done: EncodedJob = {
    id,
    colours: Int32Array.from(rects, ({ colour }) => colour),
    lengths: Uint32Array.from(rects, ({ body }) => body.length),
    bodies,
  }
  parentPort?.postMessage(done, [bodies.buffer])
})
