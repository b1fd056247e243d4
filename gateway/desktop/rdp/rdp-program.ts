import { createRequire } from 'node:module'
import { dirname } from 'node:path'
import { fileURLToPath } from 'node:url'
import type { ChildProgram } from '../child/sandbox.ts'

/** The RDP decoder as it runs from the sources. It reads its own modules, IronRDP, and no settings of anybody. */
export function rdpProgram(): ChildProgram {
  const path = (relative: string) => fileURLToPath(new URL(relative, import.meta.url))
  const packageOf = createRequire(import.meta.url).resolve
  return {
    entry: path('./rdp-child.ts'),
    readable: [
      path('./'),
      path('../child/'),
      path('../limits.ts'),
      path('../violation.ts'),
      path('../../../package.json'),
      dirname(packageOf('@devolutions/iron-remote-desktop-rdp')),
    ],
  }
}
