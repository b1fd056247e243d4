import { type MessagePort, parentPort } from 'node:worker_threads'
import { BLOCK_BYTES, type ModelReply, type ModelRequest } from '../../../recordings/screen-model/messages.ts'

/**
 * A measuring weight in the screen model's place: takes and gives back every block, parses nothing. Where two
 * processors share a core, whatever runs beside a thread makes that thread's own seconds longer: with the model
 * parsing, they are not the recorder's alone.
 */
parentPort?.on('message', (port: MessagePort) => {
  const positions = new Map<number, number>()
  const reply = (message: ModelReply, transfer: ArrayBuffer[] = []) => port.postMessage(message, transfer)
  port.on('message', (request: ModelRequest) => {
    const { id } = request
    const position = positions.get(id) ?? 0
    if (request.type === 'feed') {
      positions.set(id, position + request.bytes.length)
      const blocks = request.bytes.length === BLOCK_BYTES ? [request.bytes] : []
      const transfer = blocks.map(({ buffer }) => buffer)
      reply({ type: 'ack', id, position: position + request.bytes.length, blocks }, transfer)
    } else if (request.type === 'keyframe') {
      const keyframe = { position, cols: 80, rows: 24, bytes: new TextEncoder().encode('\x1bc') }
      reply({ type: 'keyframe', id, request: request.request, keyframe })
    }
  })
})
