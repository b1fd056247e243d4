import { createRequire } from 'node:module'
import { dirname } from 'node:path'
import { fileURLToPath } from 'node:url'
import type { ChildProgram } from '../child/sandbox.ts'

/** The VNC decoder as it runs from the sources. It reads its own modules, two packages, and no settings of anybody. */
export function vncProgram(): ChildProgram {
  const path = (relative: string) => fileURLToPath(new URL(relative, import.meta.url))
  const packageOf = createRequire(import.meta.url).resolve
  return {
    entry: path('./vnc-child.ts'),
    readable: [
      path('./'),
      path('../child/'),
      path('../limits.ts'),
      path('../violation.ts'),
      path('../../../package.json'),
      dirname(packageOf('pako/package.json')),
      dirname(packageOf('@jsquash/jpeg/package.json')),
    ],
  }
}
