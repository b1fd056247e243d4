import type { Socket } from 'node:net'
import type { Client, ClientChannel } from 'ssh2'
import type { SourceEvents, TerminalSource } from '../session/source.ts'

/**
 * A shell channel as a source, paused until the first `resume` (nothing is read before the recorder is there). Bytes
 * come as ssh2 decrypts them, without a timer in between.
 */
export function terminalSource(
  client: Client,
  socket: Socket,
  channel: ClientChannel,
  events: SourceEvents,
): TerminalSource {
  let over = false
  let shellEnded = false
  const close = () => {
    if (over) return
    over = true
    socket.destroy()
    events.closed(shellEnded ? 'shell-ended' : 'asset-lost')
  }
  const output = (bytes: Buffer) => {
    if (!over) events.output(bytes)
  }
  channel.on('data', output)
  channel.stderr.on('data', output)
  channel.pause()
  channel.stderr.pause()
  channel.on('drain', () => {
    if (!over) events.drain()
  })
  channel.on('exit', () => {
    shellEnded = true
  })
  channel.on('close', close)
  channel.on('error', close)
  client.on('error', close)
  client.on('close', close)
  return {
    write(bytes) {
      if (over) return true
      // ssh2 writes a packet in three pieces; corked they are one system call, and the asset wakes up once.
      socket.cork()
      const more = channel.write(bytes)
      socket.uncork()
      return more
    },
    get backlog() {
      return channel.writableLength
    },
    resize(cols, rows) {
      if (!over) channel.setWindow(rows, cols, 0, 0)
    },
    pause() {
      channel.pause()
      channel.stderr.pause()
    },
    resume() {
      channel.resume()
      channel.stderr.resume()
    },
    end() {
      if (over) return
      channel.close()
      client.end()
      // A server that never answers the close does not keep the socket.
      setTimeout(close, 2000).unref()
    },
    destroy() {
      // Nothing that is still buffered comes out after this.
      over = true
      socket.destroy()
    },
  }
}
