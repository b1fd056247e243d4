/**
 * Feeds broken input to a parser for as long as it is told to:
 *   npm run fuzz -- vnc [seconds] [seed]
 * A finding ends it with the seed that shows it again.
 */
import { loadJpeg } from '../../gateway/desktop/vnc/decode/jpeg.ts'
import { fuzzVnc } from './vnc.ts'

const [target, seconds = '60', seed = String(Date.now() % 2 ** 31)] = process.argv.slice(2)
if (target !== 'vnc') {
  console.error('no such target; there is: vnc')
  process.exit(2)
}
const end = performance.now() + Number(seconds) * 1000
const rounds = await fuzzVnc(Number(seed), await loadJpeg(), () => performance.now() > end)
console.log(`vnc: ${rounds} rounds from seed ${seed}, nothing found`)
