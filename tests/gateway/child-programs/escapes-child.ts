import { readdirSync, readFileSync, writeFileSync } from 'node:fs'
import { connect } from 'node:net'
import { ChildPipe, standReady } from '../../../gateway/desktop/child/child-pipe.ts'

/** What a decoder that was taken over would try. Told a port and a process id, it says what came of each attempt. */
const pipe = new ChildPipe()
standReady(pipe)
const message = pipe.receive()
const { port, pid, file } = JSON.parse(new TextDecoder().decode(message?.payload)) as {
  port: number
  pid: number
  file: string
}
const results: Record<string, string> = {}
const attempt = (name: string, work: () => unknown) => {
  try {
    work()
    results[name] = 'done'
  } catch (error) {
    results[name] = String((error as NodeJS.ErrnoException).code)
  }
}
attempt('kill', () => process.kill(pid, 0))
attempt('read', () => readFileSync(file))
attempt('write', () => writeFileSync('/tmp/sallyport-escape', 'x'))
attempt('list', () => readdirSync('/proc'))
attempt('root again', () => process.setuid?.(0))
results.environment = String(Object.keys(process.env).length)
for (const host of ['127.0.0.1', '192.0.2.1'])
  results[`connect ${host}`] = await new Promise((done) => {
    const socket = connect(port, host)
    socket.once('connect', () => done('done'))
    socket.once('error', (error: NodeJS.ErrnoException) => done(String(error.code)))
  })
try {
  const { spawn } = await import('node:child_process')
  spawn('/bin/true')
  results.spawn = 'done'
} catch (error) {
  results.spawn = String((error as NodeJS.ErrnoException).code)
}
pipe.send(64, new TextEncoder().encode(JSON.stringify(results)))
pipe.flush()
