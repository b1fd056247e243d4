import { afterAll, beforeAll, describe, expect, it } from 'vitest'
import type { DecoderSpares } from '../../gateway/desktop/child/spares.ts'
import type { PictureEncoding } from '../../gateway/desktop/vnc/encodings.ts'
import { startVnc, vncMissing } from '../lab/vnc-server.ts'
import { openLab, same, startSpares } from './vnc-support.ts'

const missing = vncMissing()

describe.skipIf(missing)(`vnc pictures${missing ? ` (skipped: ${missing})` : ''}`, () => {
  let spares: DecoderSpares
  beforeAll(async () => {
    spares = await startSpares()
  })
  afterAll(() => spares?.stop())

  for (const depth of [24, 16, 8] as const)
    it(`are exact in every encoding at depth ${depth}, in our pixel format and in the server’s`, async () => {
      // This Xtigervnc refuses depth 8; x11vnc shows the colour map of an Xvfb.
      const lab = await startVnc({
        depth,
        geometry: '643x397',
        ...(depth === 8 ? { x11vnc: ['-wait', '10', '-defer', '5'] } : {}),
      })
      try {
        // An even ground, a pattern, photograph-like noise and text.
        await lab.run('xsetroot', '-mod', '7', '5', '-fg', 'orange', '-bg', 'navy')
        lab.start(
          'xterm',
          '-geometry',
          '60x12+11+13',
          '-e',
          'ls -l --color=always /usr/bin | head -200; sleep 600',
        )
        if (depth === 24) await lab.showPhotograph()
        lab.start('xlogo', '-geometry', '200x150+400+200')
        const encodings: PictureEncoding[][] = [
          ['raw'],
          ['hextile', 'raw'],
          ['zrle', 'raw'],
          ['tight', 'raw'],
        ]
        for (const nativeFormat of [false, true])
          for (const wanted of encodings) {
            const { heard, source } = await openLab(lab, spares, { encodings: wanted, nativeFormat })
            // A server that widens 5 or 6 bits itself rounds in its own way.
            const within = depth === 16 && !nativeFormat ? 1 : 0
            await same(heard, lab, within)
            // A change after the first whole picture, so that streams and palettes go on.
            await lab.run(
              'xsetroot',
              '-mod',
              '9',
              '3',
              '-fg',
              nativeFormat ? 'red' : 'green',
              '-bg',
              'gray40',
            )
            await same(heard, lab, within)
            expect(heard.closed).toBeNull()
            source.destroy()
          }
      } finally {
        await lab.stop()
      }
    })
})
