import { type RefObject, useRef } from 'react'
import type { Protocol } from '../../broker/domain/words.ts'
import { useDesktop } from '../desktop/use-desktop.ts'
import type { SessionPage } from '../session/session-state.ts'
import { useTerminal } from '../session/use-terminal.ts'
import '../session/session.css'
import '../desktop/desktop.css'

interface Shown {
  id: string
  asset: string
}

/**
 * A session's screen in small, as the watch page shows it: the same socket, the same entry in the log, and the engineer
 * reads the same name. Nobody reaches into it; who wants to read it opens the watch page.
 */
export default function LiveScreen({ protocol, ...shown }: Shown & { protocol: Protocol }) {
  return protocol === 'ssh' ? <Terminal {...shown} /> : <Desktop {...shown} />
}

function Terminal({ id, asset }: Shown) {
  const place = useRef<HTMLDivElement>(null)
  const { page } = useTerminal(id, true, place)
  return <Picture asset={asset} page={page} place={place} />
}

function Desktop({ id, asset }: Shown) {
  const place = useRef<HTMLDivElement>(null)
  const { page } = useDesktop(id, true, place)
  return <Picture asset={asset} page={page} place={place} />
}

function Picture(props: { asset: string; page: SessionPage; place: RefObject<HTMLDivElement | null> }) {
  const { page } = props
  const word =
    page.link === 'open'
      ? null
      : page.link === 'over'
        ? (page.message ?? 'No picture any more')
        : 'Connecting'
  return (
    <div className="live-screen" role="img" aria-label={`Live screen of ${props.asset}`}>
      <div className="screen-place live-screen-place" ref={props.place} inert />
      {word ? <span className="live-screen-word">{word}</span> : null}
    </div>
  )
}
