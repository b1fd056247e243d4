import { createPrivateKey } from 'node:crypto'
import { systemClock } from '../../broker/domain/clock.ts'
import { newId } from '../../broker/domain/ids.ts'
import { type Disk, nodeDisk } from '../../recordings/recorder/disk.ts'
import { openRecorder } from '../../recordings/recorder/recorder.ts'
import { screenModelOver } from '../../recordings/screen-model/port.ts'
import { startScreenModel } from '../../recordings/screen-model/start.ts'

/**
 * A session that is killed: floods its recorder and says, line by line on stdout, what fdatasync has confirmed:
 * {stream, segment, seq, c}. argv: spool, grant JSON, signing key PEM, bytes a second, and the end of a file's path: the
 * process kills itself when that file would be made, after closing the recording where it is the manifest.
 */
const [spool = '', grant = '', pem = '', rate = '0', crashAt = ''] = process.argv.slice(2)
const crashing = <T>(path: string, go: () => Promise<T>): Promise<T> => {
  if (crashAt === '' || !path.endsWith(crashAt)) return go()
  process.kill(process.pid, 'SIGKILL')
  return new Promise(() => {})
}
const disk: Disk = {
  ...nodeDisk,
  create: (path) => crashing(path, () => nodeDisk.create(path)),
  put: (path, bytes) => crashing(path, () => nodeDisk.put(path, bytes)),
}
const model = screenModelOver(startScreenModel().connect())
const recorder = await openRecorder({
  grant: JSON.parse(grant),
  grantHash: 'a'.repeat(64),
  ticketHash: null,
  gateway: {
    id: newId(),
    version: '0.1.0',
    bootId: newId(),
    signing: { kid: 'gateway-1', key: createPrivateKey(pem) },
  },
  target: { kind: 'none' },
  spool,
  disk,
  ...(crashAt === '' ? {} : { limits: { segmentBytes: 64 * 1024 } }),
  clock: systemClock,
  clockState: { source: 'system', offsetMs: null },
  screenModel: model,
  size: { cols: 80, rows: 24 },
})
process.stdout.write('{"ready":true}\n')
const line = new TextEncoder().encode('\x1b[32mflood\x1b[m of output, line after line é\r\n'.repeat(200))
let isPaused = false
recorder.onDrain(() => {
  isPaused = false
})
const each = Math.max(1, Math.round(Number(rate) / 100 / line.length))
let said = ''
let rounds = 0
const timer = setInterval(() => {
  for (let count = 0; count < each && !isPaused; count++) isPaused = !recorder.output(line)
  recorder.input(new TextEncoder().encode('k'))
  const heads = JSON.stringify(recorder.heads())
  if (heads !== said) process.stdout.write(`${heads}\n`)
  said = heads
  rounds += 1
  if (crashAt.endsWith('manifest.jws') && rounds === 20) {
    clearInterval(timer)
    void recorder.close({ reason: 'vendor-left' })
  }
}, 10)
