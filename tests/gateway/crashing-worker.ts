import { existsSync, writeFileSync } from 'node:fs'
import { join } from 'node:path'
import { workerData } from 'node:worker_threads'

/**
 * The real session worker, in a thread that does not start, dies, or hangs for ever, when a test puts a file beside the
 * spool.
 */
const beside = (name: string) => join((workerData as { spool: string }).spool, '..', name)
if (existsSync(beside('no-start'))) process.exit(9)

await import('../../gateway/pool/worker.ts')
setInterval(() => {
  if (existsSync(beside('crash-now'))) process.exit(7)
  if (existsSync(beside('hang-now'))) {
    writeFileSync(beside('hanging'), '')
    for (;;);
  }
}, 20)
