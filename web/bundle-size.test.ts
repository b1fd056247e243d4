import { existsSync, readFileSync } from 'node:fs'
import { dirname, resolve } from 'node:path'
import { fileURLToPath } from 'node:url'
import { gzipSync } from 'node:zlib'
import { describe, expect, it } from 'vitest'

/** The phone's approval page stays light. Needs the built pages (`npm run build`, which `npm test` does first). */
const dist = resolve(dirname(fileURLToPath(import.meta.url)), '../dist/web')
const manifest = resolve(dist, '.vite/manifest.json')
const LIMIT = 250 * 1024

interface Chunk {
  file: string
  imports?: string[]
  css?: string[]
}

/** Every file that a page loads: its chunk, what that imports statically, and the frame around it. */
function filesOf(chunks: Record<string, Chunk>, ...entries: string[]): Set<string> {
  const files = new Set<string>()
  const take = (name: string) => {
    const chunk = chunks[name]
    if (!chunk) throw new Error(`no chunk ${name}`)
    if (files.has(chunk.file)) return
    files.add(chunk.file)
    for (const css of chunk.css ?? []) files.add(css)
    for (const other of chunk.imports ?? []) take(other)
  }
  for (const entry of entries) take(entry)
  return files
}

describe.skipIf(!existsSync(manifest))('the built pages', () => {
  const chunks = existsSync(manifest)
    ? (JSON.parse(readFileSync(manifest, 'utf8')) as Record<string, Chunk>)
    : {}
  const size = (file: string) => {
    const bytes = readFileSync(resolve(dist, file))
    // Fonts are compressed already.
    return file.endsWith('.woff2') ? bytes.length : gzipSync(bytes).length
  }
  const font = Object.values(chunks).find((chunk) => /inter-latin-wght-normal.*woff2$/.test(chunk.file))

  it('keep the approval page under 250 KB gzip, its font included', () => {
    const files = filesOf(chunks, 'index.html', 'approver/decide.tsx', 'approver/decision.tsx')
    if (font) files.add(font.file)
    const total = [...files].reduce((sum, file) => sum + size(file), size('index.html'))
    expect(total).toBeLessThan(LIMIT)
  })

  it('load neither terminal nor player there', () => {
    for (const file of filesOf(chunks, 'index.html', 'approver/decide.tsx', 'approver/decision.tsx')) {
      const text = readFileSync(resolve(dist, file), 'utf8')
      expect(text, file).not.toMatch(/xterm|asciinema/i)
    }
  })

  it('have no inline script or style, and nothing from elsewhere', () => {
    const html = readFileSync(resolve(dist, 'index.html'), 'utf8')
    expect(html).not.toMatch(/<script(?![^>]*\ssrc=)|<style|\son[a-z]+=|https?:\/\//)
  })

  it('carry nothing of the fixture', () => {
    for (const { file } of Object.values(chunks))
      if (file.endsWith('.js')) expect(readFileSync(resolve(dist, file), 'utf8')).not.toContain('Falkensee')
  })
})
