import { dirname, resolve } from 'node:path'
import { fileURLToPath } from 'node:url'
import react from '@vitejs/plugin-react'
import { defineConfig } from 'vite'

const here = dirname(fileURLToPath(import.meta.url))

/**
 * Builds to dist/web, which the broker serves. Nothing is inlined: the Content Security Policy has no inline script
 * and no `data:` fonts. Each page is a chunk of its own, so the phone's approval page carries neither terminal nor
 * player (bundle-size.test.ts holds it under 250 KB gzip).
 */
export default defineConfig({
  root: here,
  base: '/',
  plugins: [react()],
  css: { postcss: { plugins: [] } },
  build: {
    outDir: resolve(here, '../dist/web'),
    emptyOutDir: true,
    assetsInlineLimit: 0,
    modulePreload: { polyfill: false },
    target: 'es2023',
    sourcemap: false,
    manifest: true,
    chunkSizeWarningLimit: 900,
  },
})
