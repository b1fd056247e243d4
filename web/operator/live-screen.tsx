import { useRef } from 'react'
import { useSession } from '../session/use-session.ts'
import '../session/session.css'

/**
 * A session's screen in small, as the watch page shows it: the same socket, the same entry in the log, and the engineer
 * reads the same name. Nobody reaches into it; who wants to read it opens the watch page.
 */
export default function LiveScreen({ id, asset }: { id: string; asset: string }) {
  const place = useRef<HTMLDivElement>(null)
  const { page } = useSession(id, true, place)
  const word =
    page.link === 'open'
      ? null
      : page.link === 'over'
        ? (page.message ?? 'No picture any more')
        : 'Connecting'
  return (
    <div className="live-screen" role="img" aria-label={`Live screen of ${asset}`}>
      <div className="terminal-place live-screen-place" ref={place} inert />
      {word ? <span className="live-screen-word">{word}</span> : null}
    </div>
  )
}
