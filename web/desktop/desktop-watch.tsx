import { useRef } from 'react'
import { WatchShell } from '../session/watch-shell.tsx'
import type { Session } from '../shared/session-status.tsx'
import { useDesktop } from './use-desktop.ts'
import './desktop.css'

/** Somebody else's desktop, all of it. */
export function DesktopWatch({ session }: { session: Session }) {
  const place = useRef<HTMLDivElement>(null)
  const { page } = useDesktop(session.id, true, place)
  return <WatchShell session={session} page={page} place={place} />
}
