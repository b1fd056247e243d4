import { useState } from 'react'
import type { TerminalView } from './terminal-view.ts'

/** Searches screen and scrollback. */
export function SearchRow({ view, close }: { view: TerminalView; close: () => void }) {
  const [text, setText] = useState('')
  const [missed, setMissed] = useState(false)
  const find = (back: boolean) => {
    if (text) setMissed(!(back ? view.search.findPrevious(text) : view.search.findNext(text)))
  }
  return (
    <div className="search-row strip">
      <input
        // biome-ignore lint/a11y/noAutofocus: the person just asked for this field
        autoFocus
        aria-label="Search the screen and what scrolled away"
        placeholder="Search"
        value={text}
        onChange={(event) => setText(event.currentTarget.value)}
        onKeyDown={(event) => {
          if (event.key === 'Enter') find(!event.shiftKey)
          if (event.key === 'Escape') close()
        }}
      />
      <button type="button" onClick={() => find(true)}>
        Previous
      </button>
      <button type="button" onClick={() => find(false)}>
        Next
      </button>
      <span role="status">{missed ? 'Not found' : ''}</span>
      <span className="strip-space" />
      <button type="button" onClick={close}>
        Close
      </button>
    </div>
  )
}
