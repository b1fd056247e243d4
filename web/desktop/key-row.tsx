import { useEffect, useRef, useState } from 'react'
import type { DesktopView } from './desktop-view.ts'
import { keysymOf } from './keysym.ts'

interface Key {
  label: string
  keysym: number
  code: string
}

/** X11 keysyms (RFC 6143 section 7.5.4) with their place on the keyboard. */
const KEYS: readonly Key[] = [
  { label: 'Esc', keysym: 0xff1b, code: 'Escape' },
  { label: 'Tab', keysym: 0xff09, code: 'Tab' },
  { label: '←', keysym: 0xff51, code: 'ArrowLeft' },
  { label: '↑', keysym: 0xff52, code: 'ArrowUp' },
  { label: '↓', keysym: 0xff54, code: 'ArrowDown' },
  { label: '→', keysym: 0xff53, code: 'ArrowRight' },
  { label: 'Del', keysym: 0xffff, code: 'Delete' },
]
const HELD: readonly Key[] = [
  { label: 'Ctrl', keysym: 0xffe3, code: 'ControlLeft' },
  { label: 'Alt', keysym: 0xffe9, code: 'AltLeft' },
  { label: 'Shift', keysym: 0xffe1, code: 'ShiftLeft' },
]
const BACKSPACE = { keysym: 0xff08, code: 'Backspace' }
const ENTER = { keysym: 0xff0d, code: 'Enter' }
/** Something to delete, so that a phone's keyboard says when its backspace is pressed. */
const FILLER = '\u00a0\u00a0\u00a0\u00a0'

const SPOKEN: Record<string, string> = { '←': 'Left', '↑': 'Up', '↓': 'Down', '→': 'Right' }

/** Keys that a phone, or the browser's own shortcuts, keep from the asset; and the phone's keyboard. */
export function KeyRow(props: {
  view: DesktopView
  /** Nothing may be typed now. What was held is let go by the session. */
  disabled: boolean
  acted: () => void
}) {
  const { view, disabled } = props
  const [held, setHeld] = useState<readonly string[]>([])
  const text = useRef<HTMLTextAreaElement>(null)
  const pressed = useRef<readonly string[]>([])
  pressed.current = held
  const letGo = () => {
    for (const key of HELD) if (pressed.current.includes(key.label)) view.key(key.keysym, key.code, false)
    setHeld([])
  }
  // Nothing stays pressed when the row is closed.
  useEffect(
    () => () => {
      for (const key of HELD) if (pressed.current.includes(key.label)) view.key(key.keysym, key.code, false)
    },
    [view],
  )
  const hold = (key: Key) => {
    props.acted()
    const down = !held.includes(key.label)
    view.key(key.keysym, key.code, down)
    setHeld(down ? [...held, key.label] : held.filter((label) => label !== key.label))
  }
  /** One key, with what is held; as on a phone's own keyboard, that is let go after it. */
  const press = (keysym: number, code: string | null) => {
    props.acted()
    view.key(keysym, code)
    letGo()
  }
  const typed = (area: HTMLTextAreaElement) => {
    const { value } = area
    if (value.length < FILLER.length)
      for (let n = value.length; n < FILLER.length; n++) press(BACKSPACE.keysym, BACKSPACE.code)
    for (const character of value.slice(FILLER.length)) {
      if (character === '\n') press(ENTER.keysym, ENTER.code)
      else press(keysymOf(character), null)
    }
    area.value = FILLER
  }
  return (
    <div className="key-row" role="toolbar" aria-label="Keys for the asset">
      <textarea
        ref={text}
        className="key-row-text"
        aria-label="Type here with the keyboard of this phone"
        autoCapitalize="off"
        autoComplete="off"
        autoCorrect="off"
        spellCheck={false}
        defaultValue={FILLER}
        onFocus={(event) => {
          event.currentTarget.value = FILLER
        }}
        onInput={(event) => {
          // An input method is still choosing; what it chooses comes at its end.
          if (!(event.nativeEvent as InputEvent).isComposing) typed(event.currentTarget)
        }}
        onCompositionEnd={(event) => typed(event.currentTarget)}
      />
      <button type="button" disabled={disabled} onClick={() => text.current?.focus()}>
        Keyboard
      </button>
      {HELD.map((key) => (
        <button
          key={key.label}
          type="button"
          disabled={disabled}
          aria-pressed={held.includes(key.label)}
          onClick={() => hold(key)}
        >
          {key.label}
        </button>
      ))}
      {KEYS.map((key) => (
        <button
          key={key.label}
          type="button"
          disabled={disabled}
          aria-label={SPOKEN[key.label]}
          onClick={() => press(key.keysym, key.code)}
        >
          {key.label}
        </button>
      ))}
      <button
        type="button"
        disabled={disabled}
        onClick={() => {
          props.acted()
          view.ctrlAltDel()
        }}
      >
        Ctrl+Alt+Del
      </button>
    </div>
  )
}
