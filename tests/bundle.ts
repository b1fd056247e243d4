/**
 * Bundles what is installed away from a checkout: Node does not strip types under node_modules, so the verifier ships
 * as one plain file. `npm run bundle` writes dist/sallyport-verify.mjs.
 */
import { chmodSync } from 'node:fs'
import { join } from 'node:path'
import { build } from 'esbuild'

const root = join(import.meta.dirname, '..')

export async function bundleVerifier(outfile = join(root, 'dist', 'sallyport-verify.mjs')): Promise<string> {
  await build({
    entryPoints: [join(root, 'recordings', 'cli', 'verify-main.ts')],
    outfile,
    bundle: true,
    platform: 'node',
    format: 'esm',
    target: 'node22',
    banner: {
      js: "#!/usr/bin/env node\nimport { createRequire } from 'node:module'; const require = createRequire(import.meta.url);",
    },
    legalComments: 'inline',
    logLevel: 'warning',
  })
  chmodSync(outfile, 0o755)
  return outfile
}

if (process.argv[1] === import.meta.filename) console.log(await bundleVerifier())
