import { IconX } from '@tabler/icons-react'
import { useState } from 'react'

/** Characters; the gateway takes 256 KiB at once. */
const LONGEST = 64 * 1024

/** Text between here and the asset's clipboard, each way only where it was approved. */
export function ClipboardRow(props: {
  /** The newest text of the asset. */
  copied: string | null
  mayCopy: boolean
  /** The asset's protocol knows no other letters. */
  latinOnly: boolean
  /** Nothing may be given to the asset now. */
  disabled: boolean
  paste: ((text: string) => void) | null
  close: () => void
}) {
  const { copied, paste } = props
  const [text, setText] = useState('')
  const [word, setWord] = useState<string | null>(null)
  const take = async () => {
    try {
      await navigator.clipboard.writeText(copied ?? '')
      setWord('Copied.')
    } catch {
      setWord('This browser did not allow it.')
    }
  }
  return (
    <form
      className="clipboard-row"
      aria-label="Clipboard"
      onSubmit={(event) => {
        event.preventDefault()
        paste?.(text)
      }}
    >
      {paste ? (
        <>
          <textarea
            aria-label="Text for the asset's clipboard"
            placeholder="Text for the asset's clipboard; paste it there with Ctrl+V"
            rows={2}
            maxLength={LONGEST}
            value={text}
            onChange={(event) => setText(event.currentTarget.value)}
          />
          <button type="submit" disabled={props.disabled || text === ''}>
            Give to the asset
          </button>
          {props.latinOnly && /[^\0-\xff]/.test(text) ? (
            <span role="status">VNC carries Latin letters only: other characters become question marks.</span>
          ) : null}
        </>
      ) : null}
      {copied === null ? (
        props.mayCopy ? (
          <span>What is copied on the asset can be taken from here.</span>
        ) : null
      ) : (
        <>
          <button type="button" onClick={() => void take()}>
            Take {copied.length} copied {copied.length === 1 ? 'character' : 'characters'}
          </button>
          {word ? <span role="status">{word}</span> : null}
        </>
      )}
      <button
        type="button"
        className="clipboard-row-close"
        onClick={props.close}
        aria-label="Close clipboard"
      >
        <IconX size={16} aria-hidden />
      </button>
    </form>
  )
}
