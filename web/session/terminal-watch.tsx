import { useRef } from 'react'
import type { Session } from '../shared/session-status.tsx'
import { useTerminal } from './use-terminal.ts'
import { WatchShell } from './watch-shell.tsx'

/** Somebody else's terminal. */
export function TerminalWatch({ session }: { session: Session }) {
  const place = useRef<HTMLDivElement>(null)
  const { page } = useTerminal(session.id, true, place)
  return <WatchShell session={session} page={page} place={place} />
}
