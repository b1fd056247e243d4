import { expect, it } from 'vitest'
import { loadJpeg } from '../../gateway/desktop/vnc/decode/jpeg.ts'
import { fuzzVnc } from '../fuzz/vnc.ts'

it('the vnc decoder ends by a violation or by the end of its input, whatever it is fed', async () => {
  let rounds = 0
  expect(await fuzzVnc(1, await loadJpeg(), () => rounds++ >= 1500)).toBe(1500)
})
