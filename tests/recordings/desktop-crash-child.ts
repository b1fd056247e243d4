import { createPrivateKey } from 'node:crypto'
import { EncodePool } from '../../gateway/desktop/encode/pool.ts'
import { say } from '../../gateway/desktop/testing/rfb-client.ts'
import { desktopOptions, paintedDesktop } from './desktop-recorder-fixture.ts'
import { newKeys } from './recorder-fixture.ts'

/**
 * A desktop session that is killed: paints, types, and says line by line on stdout what fdatasync has confirmed. argv:
 * spool, grant JSON, signing key PEM.
 */
const [spool = '', grant = '', pem = ''] = process.argv.slice(2)
const options = (keyframe: Parameters<typeof desktopOptions>[2]) => {
  const signing = { kid: 'gateway-1', key: createPrivateKey(pem) }
  return {
    ...desktopOptions({ ...newKeys(), signing }, spool, keyframe),
    grant: JSON.parse(grant),
    limits: { segmentBytes: 256 * 1024 },
  }
}
const desktop = await paintedDesktop(new EncodePool(1), { width: 640, height: 480 }, options)
process.stdout.write('{"ready":true}\n')
let seed = 0
let said = ''
setInterval(() => {
  desktop.paint(seed++)
  desktop.recorder.input(say.pointer(0, seed % 640, 7))
  const heads = JSON.stringify(desktop.recorder.heads())
  if (heads !== said) process.stdout.write(`${heads}\n`)
  said = heads
}, 20)
