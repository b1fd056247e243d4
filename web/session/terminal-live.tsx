import { IconSearch } from '@tabler/icons-react'
import { useEffect, useRef, useState } from 'react'
import type { Session } from '../shared/session-status.tsx'
import { SearchRow } from './search-row.tsx'
import { SessionShell } from './session-shell.tsx'
import { useTerminal } from './use-terminal.ts'

/** The vendor's terminal. */
export function TerminalLive({ session }: { session: Session }) {
  const place = useRef<HTMLDivElement>(null)
  const { page, view, leave, paste, refusal, pending, setPending } = useTerminal(session.id, false, place)
  const [searching, setSearching] = useState(false)
  useEffect(() => {
    const keys = (event: KeyboardEvent) => {
      if (event.ctrlKey && event.shiftKey && event.code === 'KeyF') {
        event.preventDefault()
        setSearching((open) => !open)
      }
    }
    window.addEventListener('keydown', keys)
    return () => window.removeEventListener('keydown', keys)
  }, [])
  const focus = () => view?.terminal.focus()
  return (
    <SessionShell
      session={session}
      page={page}
      place={place}
      refusal={refusal}
      pending={pending}
      answerPaste={(yes) => {
        if (yes && pending !== null) paste(pending)
        setPending(null)
        focus()
      }}
      leave={leave}
      focus={focus}
      buttons={
        <button
          type="button"
          onClick={() => setSearching((open) => !open)}
          aria-pressed={searching}
          aria-label="Search the screen"
        >
          <IconSearch size={16} aria-hidden />
        </button>
      }
      rows={
        searching && view ? (
          <SearchRow
            view={view}
            close={() => {
              setSearching(false)
              focus()
            }}
          />
        ) : null
      }
    />
  )
}
