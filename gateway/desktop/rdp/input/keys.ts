/**
 * Places (XT set 1, 0xe0 prefix as bit 7) of the keys that are no characters, by their symbol (X11 keysymdef). For browsers
 * that say a symbol alone.
 */
const SPECIAL: Record<number, number> = {
  65288: 0x0e, // BackSpace
  65289: 0x0f, // Tab
  65293: 0x1c, // Return
  65299: 0xc6, // Pause, as Ctrl-Break: Pause alone has a prefix of its own
  65300: 0x46, // Scroll_Lock
  65307: 0x01, // Escape
  65360: 0xc7, // Home
  65361: 0xcb, // Left
  65362: 0xc8, // Up
  65363: 0xcd, // Right
  65364: 0xd0, // Down
  65365: 0xc9, // Page_Up
  65366: 0xd1, // Page_Down
  65367: 0xcf, // End
  65377: 0xb7, // Print
  65379: 0xd2, // Insert
  65383: 0xdd, // Menu
  65407: 0x45, // Num_Lock
  65421: 0x9c, // KP_Enter
  65450: 0x37, // KP_Multiply
  65451: 0x4e, // KP_Add
  65453: 0x4a, // KP_Subtract
  65454: 0x53, // KP_Decimal
  65455: 0xb5, // KP_Divide
  65505: 0x2a, // Shift_L
  65506: 0x36, // Shift_R
  65507: 0x1d, // Control_L
  65508: 0x9d, // Control_R
  65509: 0x3a, // Caps_Lock
  65511: 0xdb, // Meta_L, where a browser says so for the Windows key
  65512: 0xdc, // Meta_R
  65513: 0x38, // Alt_L
  65514: 0xb8, // Alt_R
  65515: 0xdb, // Super_L
  65516: 0xdc, // Super_R
  65027: 0xb8, // ISO_Level3_Shift
  65535: 0xd3, // Delete
}
const F1 = 0xffbe
const F12 = 0xffc9
const F_PLACES = [0x3b, 0x3c, 0x3d, 0x3e, 0x3f, 0x40, 0x41, 0x42, 0x43, 0x44, 0x57, 0x58]
const KEYPAD_0 = 0xffb0
const KEYPAD_PLACES = [0x52, 0x4f, 0x50, 0x51, 0x4b, 0x4c, 0x4d, 0x47, 0x48, 0x49]
/** Rows of a keyboard from their first place on, as in the United States. */
const ROWS: readonly [first: number, characters: string][] = [
  [0x02, '1234567890'],
  [0x10, 'qwertyuiop'],
  [0x1e, 'asdfghjkl'],
  [0x2c, 'zxcvbnm'],
  [0x39, ' '],
]
/** What else stands there, and what Shift makes of it. */
const US_ROWS: readonly [first: number, characters: string, isShifted: boolean][] = [
  [0x02, '!@#$%^&*()_+', true],
  [0x0c, '-=', false],
  [0x1a, '[]', false],
  [0x1a, '{}', true],
  [0x27, ";'`", false],
  [0x27, ':"~', true],
  [0x2b, '\\', false],
  [0x2b, '|', true],
  [0x33, ',./', false],
  [0x33, '<>?', true],
]
/** Letters that change their places, by the layout (MS-LCID). */
const QWERTZ = { y: 'z', z: 'y' }
const AZERTY = { a: 'q', q: 'a', z: 'w', w: 'z' }
const MOVED: Record<number, Record<string, string>> = {
  1031: QWERTZ,
  2055: QWERTZ,
  4108: QWERTZ,
  1029: QWERTZ,
  1051: QWERTZ,
  1038: QWERTZ,
  1036: AZERTY,
  2060: AZERTY,
}
const US = 0x0409
/** Where the digits need Shift, and where one key is elsewhere. */
const SHIFTED_DIGITS = new Set([0x040c, 0x080c, 0x0405, 0x041b])
const ELSEWHERE: Record<number, string> = { 1036: 'm', 2060: 'm', 1038: '0' }

/** Where a symbol's key is; null for a character, which needs none. `isCommand`: Ctrl, Alt or Windows is held. */
export function scancodeOf(keysym: number, isCommand: boolean, layout: number): number | null {
  const special = SPECIAL[keysym]
  if (special !== undefined) return special
  if (keysym >= F1 && keysym <= F12) return F_PLACES[keysym - F1] ?? null
  if (keysym >= KEYPAD_0 && keysym <= KEYPAD_0 + 9) return KEYPAD_PLACES[keysym - KEYPAD_0] ?? null
  if (!isCommand) return null
  return keyOf(characterOf(keysym)?.toLowerCase() ?? '', layout)?.scancode ?? null
}

/**
 * The key of a character, for servers that take no characters: letters, digits and space of every layout, all others of
 * the United States' alone. Null where it is not known.
 */
export function keyOf(character: string, layout: number): { scancode: number; isShifted: boolean } | null {
  const lower = character.toLowerCase()
  if (character.length !== 1 || ELSEWHERE[layout] === lower) return null
  const isDigit = character >= '0' && character <= '9'
  const place = MOVED[layout]?.[lower] ?? lower
  for (const [first, characters] of ROWS) {
    const at = characters.indexOf(place)
    if (at >= 0)
      return {
        scancode: first + at,
        isShifted: isDigit ? SHIFTED_DIGITS.has(layout) : character !== lower,
      }
  }
  for (const [first, characters, isShifted] of layout === US ? US_ROWS : []) {
    const at = characters.indexOf(character)
    if (at >= 0) return { scancode: first + at, isShifted }
  }
  return null
}

/** The character of a symbol: Latin-1 is itself, all others stand from 0x01000000 on (keysymdef.h). */
export function characterOf(keysym: number): string | null {
  if ((keysym >= 0x20 && keysym <= 0x7e) || (keysym >= 0xa0 && keysym <= 0xff))
    return String.fromCodePoint(keysym)
  const point = keysym - 0x01000000
  const isScalar = point >= 0x100 && point <= 0x10ffff && (point < 0xd800 || point > 0xdfff)
  return isScalar ? String.fromCodePoint(point) : null
}
