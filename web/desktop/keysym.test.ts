import { expect, test } from 'vitest'
import { keysymOf } from './keysym.ts'

test('characters are keysyms by the rule of X11', () => {
  expect(['a', '~', 'ä', '€', '😀'].map(keysymOf)).toEqual([0x61, 0x7e, 0xe4, 0x010020ac, 0x0101f600])
})
