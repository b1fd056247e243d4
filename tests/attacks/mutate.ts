/**
 * Takes each defence away and wants its attack test to turn red:
 *   node tests/attacks/mutate.ts [17-credentials …]
 * A row without a test file of its own runs beside others in one, and only its tests are run there.
 * Every mutation is made in a copy of the checkout, so nothing here changes the checkout itself. Shared with it are
 * node_modules and the built pages; a mutation of the pages has them built anew.
 */
import { spawnSync } from 'node:child_process'
import { cpSync, mkdtempSync, rmSync, symlinkSync, writeFileSync } from 'node:fs'
import { tmpdir } from 'node:os'
import { basename, join } from 'node:path'
import { mutated, testsOf } from './mutation.ts'
import { MUTATIONS } from './mutations.ts'

const root = join(import.meta.dirname, '..', '..')
const asked = process.argv.slice(2)
const LEFT_OUT = new Set(['node_modules', '.git', 'dist', 'test-output', 'data'])
let survived = 0
for (const [test, mutations] of Object.entries(MUTATIONS)) {
  if (asked.length > 0 && !asked.includes(test)) continue
  for (const mutation of mutations) {
    const copy = mkdtempSync(join(tmpdir(), 'sallyport-mutation-'))
    try {
      cpSync(root, copy, {
        recursive: true,
        filter: (path) => path === root || !LEFT_OUT.has(basename(path)),
      })
      symlinkSync(join(root, 'node_modules'), join(copy, 'node_modules'))
      writeFileSync(join(copy, mutation.file), mutated(mutation))
      if (mutation.file.startsWith('web/')) {
        const vite = join(root, 'node_modules', 'vite', 'bin', 'vite.js')
        const built = spawnSync(process.execPath, [vite, 'build', '--config', 'web/vite.config.ts'], {
          cwd: copy,
        })
        if (built.status !== 0) throw new Error(`the pages were not built: ${built.stderr}`)
      } else symlinkSync(join(root, 'dist'), join(copy, 'dist'))
      const vitest = join(root, 'node_modules', 'vitest', 'vitest.mjs')
      const run = spawnSync(process.execPath, [vitest, 'run', '--project', 'attacks', ...testsOf(test)], {
        cwd: copy,
        encoding: 'utf8',
        timeout: 300_000,
        env: { ...process.env, NO_COLOR: '1' },
      })
      // A run that never came to its tests would be red too, and prove nothing.
      const red = /Tests\s.*?\d+ failed/.test(run.stdout) && !/Failed Suites/.test(run.stdout)
      console.log(`${red ? 'red, as it should be' : 'NOT RED'}: ${test} without "${mutation.removes}"`)
      if (!red) {
        survived += 1
        console.log(run.stdout.slice(-3000), run.stderr.slice(-2000))
      }
    } finally {
      rmSync(copy, { recursive: true, force: true })
    }
  }
}
process.exit(survived === 0 ? 0 : 1)
