import {
  inputPackets,
  locksEvent,
  mouseEvent,
  POINTER,
  scancodeEvent,
  unicodeEvents,
} from './fast-path-input.ts'
import { characterOf, keyOf, scancodeOf } from './keys.ts'

/** Buttons of RFB by bit (RFC 6143 section 7.5.5). */
const BUTTONS = [POINTER.left, POINTER.middle, POINTER.right] as const
const WHEEL = new Map<number, number>([
  [3, POINTER.wheelUp],
  [4, POINTER.wheelDown],
  [5, POINTER.wheelLeft],
  [6, POINTER.wheelRight],
])
const SIDE = new Map<number, number>([
  [7, POINTER.back],
  [8, POINTER.forward],
])
const BITS = 9

/** What a server says that it takes (TS_INPUT_CAPABILITYSET, MS-RDPBCGR 2.2.7.1.6). */
const TAKES = { sideButtons: 0x0004, unicode: 0x0010, horizontalWheel: 0x0100 } as const

const SHIFT = 0x2a
const SHIFTS = new Set([SHIFT, 0x36])
/** Keys that make others a command: with one of them down, a character means its key. */
const MODIFIERS = new Set([0x1d, 0x9d, 0x38, 0xdb, 0xdc])
const CAPS_LOCK = 0x3a
const NUM_LOCK = 0x45
/** Keypad digits, and what they are without Num Lock: from KP_Home to KP_Delete. */
const KEYPAD_0 = 0xffb0
const isKeypad = (keysym: number) =>
  (keysym >= KEYPAD_0 && keysym <= KEYPAD_0 + 9) || (keysym >= 0xff95 && keysym <= 0xff9f)

/** Keys and pointer of one person, in the words of RDP. Each call gives the packets that say it, none for nothing. */
export class RdpInput {
  readonly #layout: number
  /** What the server takes beside the usual; nothing until it has said so. */
  takes = 0
  /** Keys that are down, in their order. */
  readonly #down = new Set<number>()
  #pointer = { x: 0, y: 0, buttons: 0 }
  /** As the server has them, as far as it was told. */
  readonly #locks = { caps: false, num: false }

  /** `layout`: MS-LCID, what the server was told. */
  constructor(layout: number) {
    this.#layout = layout
  }

  /**
   * By its place where the browser knew it: the server has been told which keyboard that is. A key without a place (a
   * touch keyboard, an input method) is a character by itself, unless a modifier makes a command of it.
   */
  key(down: boolean, keysym: number, known: number | null): Buffer {
    const isCommand = [...this.#down].some((scancode) => MODIFIERS.has(scancode))
    const scancode = known ?? scancodeOf(keysym, isCommand, this.#layout)
    if (scancode !== null)
      return inputPackets([...this.#locking(down, keysym, scancode), this.#press(down, scancode)])
    const character = characterOf(keysym)
    if (!character) return Buffer.alloc(0)
    if (this.takes & TAKES.unicode) return inputPackets(unicodeEvents(down, character))
    const key = keyOf(character, this.#layout)
    if (!key) return Buffer.alloc(0)
    const shift = key.isShifted ? [this.#press(down, SHIFT)] : []
    const event = this.#press(down, key.scancode)
    return inputPackets(down ? [...shift, event] : [event, ...shift])
  }

  pointer(x: number, y: number, buttons: number): Buffer {
    const changed = buttons ^ this.#pointer.buttons
    const events = x !== this.#pointer.x || y !== this.#pointer.y ? [mouseEvent(POINTER.move, x, y)] : []
    this.#pointer = { x, y, buttons }
    for (let bit = 0; bit < BITS; bit++) {
      if (((changed >> bit) & 1) === 0) continue
      const isDown = ((buttons >> bit) & 1) === 1
      const down = isDown ? POINTER.down : 0
      const button = BUTTONS[bit]
      const wheel = WHEEL.get(bit)
      const side = SIDE.get(bit)
      if (button !== undefined) events.push(mouseEvent(button | down, x, y))
      else if (wheel !== undefined && isDown && (bit < 5 || this.takes & TAKES.horizontalWheel))
        events.push(mouseEvent(wheel, x, y))
      else if (side !== undefined && this.takes & TAKES.sideButtons)
        events.push(mouseEvent(side | down, x, y, true))
    }
    return inputPackets(events)
  }

  /** Lets go of everything, for a connection that is about to be another one. */
  release(): Buffer {
    const keys = [...this.#down].map((scancode) => this.#press(false, scancode))
    return Buffer.concat([inputPackets(keys), this.pointer(this.#pointer.x, this.#pointer.y, 0)])
  }

  /** A new connection knows nothing of the one before. */
  begin(): void {
    this.#locks.caps = false
    this.#locks.num = false
    this.#pointer = { x: 0, y: 0, buttons: 0 }
  }

  #press(down: boolean, scancode: number): Buffer {
    if (down) this.#down.add(scancode)
    else this.#down.delete(scancode)
    return scancodeEvent(down, scancode)
  }

  /**
   * The person's own keyboard has its locks, from before the session or pressed elsewhere: what a key became there says how
   * they are, and the server has to have them so.
   */
  #locking(down: boolean, keysym: number, scancode: number): Buffer[] {
    if (!down) return []
    const { caps, num } = this.#locks
    const character = characterOf(keysym) ?? ''
    const isLower = character !== character.toUpperCase()
    const isUpper = character !== character.toLowerCase()
    const isShifted = [...this.#down].some((one) => SHIFTS.has(one))
    if (isLower !== isUpper) this.#locks.caps = isUpper !== isShifted
    if (isKeypad(keysym)) this.#locks.num = keysym >= KEYPAD_0
    const isNews = caps !== this.#locks.caps || num !== this.#locks.num
    const events = isNews ? [locksEvent(this.#locks)] : []
    // Pressed here, it changes there by itself.
    if (scancode === CAPS_LOCK) this.#locks.caps = !this.#locks.caps
    if (scancode === NUM_LOCK) this.#locks.num = !this.#locks.num
    return events
  }
}
