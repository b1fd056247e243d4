import { readFileSync } from 'node:fs'

/**
 * Loaded before a gateway (`--import`), on its threads too, which have no environment: the wall clock of its machine
 * steps by what stands in the file that the address of this module names, as `date -s` makes it. The monotonic clock
 * goes on, as it does then.
 */
const file = new URL(import.meta.url).searchParams.get('file') ?? ''
const trueTime = Date.now
let offset = 0
let looked = Number.NEGATIVE_INFINITY
Date.now = () => {
  const now = performance.now()
  if (now - looked > 20) {
    looked = now
    offset = Number(readFileSync(file, 'utf8'))
  }
  return trueTime() + offset
}
