import { describe, expect, it } from 'vitest'
import { KEYBOARDS } from '../../broker/contract/keyboards.ts'
import { KEYBOARD_NAMES, likelyKeyboard } from './keyboard.ts'

describe('the keyboard on the desk', () => {
  it.each([
    [['de-CH', 'de'], 'de-CH'],
    [['de'], 'de-DE'],
    [['de-AT', 'en-GB'], 'de-DE'],
    [['nn-NO'], 'nb-NO'],
    [['zh-CN', 'en-GB'], 'en-GB'],
    [['zh-CN'], 'en-US'],
    [[], 'en-US'],
  ])('of somebody who reads %s is %s', (languages, keyboard) => {
    expect(likelyKeyboard(languages)).toBe(keyboard)
  })

  it('has a name for each that an asset can be told of', () => {
    expect(Object.keys(KEYBOARD_NAMES)).toEqual([...KEYBOARDS])
  })
})
