import { expect, test } from 'vitest'
import { ScreenText } from './screen-text.ts'

const lines = (...events: string[]) => {
  const text = new ScreenText()
  const found = events.flatMap((data, index) => text.feed(index * 1000, data))
  const rest = text.rest()
  return rest ? [...found, rest] : found
}

test('a line carries the time of its first character', () => {
  expect(lines('$ l', 's\r\nfile', '\r\n')).toEqual([
    { tMs: 0, text: '$ ls' },
    { tMs: 1000, text: 'file' },
  ])
})

test('typing errors that were corrected are not in the line', () => {
  expect(lines('$ lx\b \bs\r\n')).toEqual([{ tMs: 0, text: '$ ls' }])
  expect(lines('old prompt\r\x1b[Knew\r\n')).toEqual([{ tMs: 0, text: 'new' }])
})

test('control sequences, also torn ones and strings, leave nothing', () => {
  expect(lines('\x1b[1;31mred\x1b', '[0m \x1b]0;evil title\x07\x1bP1$q\x1b\\ok\r\n')).toEqual([
    { tMs: 0, text: 'red ok' },
  ])
})

test('what a full-screen program paints is left out', () => {
  expect(lines('$ vi\r\n\x1b[?1049h~ painted\r\n', '\x1b[?1049l$ done\r\n').map((line) => line.text)).toEqual(
    ['$ vi', '$ done'],
  )
})
