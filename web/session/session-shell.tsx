import { IconLayoutSidebarRight, IconLogout } from '@tabler/icons-react'
import { type ReactNode, type RefObject, useEffect, useState } from 'react'
import { useNow } from '../shared/now.ts'
import type { Session } from '../shared/session-status.tsx'
import { SessionDrawer } from './drawer.tsx'
import { Ended } from './ended.tsx'
import { mayType, type SessionPage } from './session-state.ts'
import { MessageLine, Strip } from './strip.tsx'

/** What stands around a session's screen, whatever is shown on it: strip, message line, drawer, and its end. */
export function SessionShell(props: {
  session: Session
  page: SessionPage
  place: RefObject<HTMLDivElement | null>
  refusal: string | null
  pending: string | null
  answerPaste: (yes: boolean) => void
  leave: () => void
  /** Gives the keyboard back to the screen. */
  focus: () => void
  /** Buttons of this kind of screen, left of the others. */
  buttons: ReactNode
  /** Rows between the message line and the screen. */
  rows: ReactNode
}) {
  const { session, page, place } = props
  const [drawer, setDrawer] = useState(false)
  const [asking, setAsking] = useState(false)
  useNow(page.link === 'over' ? 60_000 : 500)
  const over = page.link === 'over'
  const title = page.hello?.asset ?? session.asset.name
  useEffect(() => {
    document.title = `${title} · Sallyport`
  }, [title])
  const askMore = () => {
    setAsking(true)
    setDrawer(true)
  }
  return (
    <div className="session">
      <Strip page={page} title={title}>
        {over ? null : (
          <>
            {props.buttons}
            <button
              type="button"
              onClick={() => setDrawer((open) => !open)}
              aria-expanded={drawer}
              aria-label="Ticket, time, notes"
              title="Ticket, time, notes"
            >
              <IconLayoutSidebarRight size={16} aria-hidden />
              <span className="strip-wide">Ticket, time, notes</span>
            </button>
            <LeaveButton leave={props.leave} may={page.link === 'open'} />
          </>
        )}
      </Strip>
      {over ? (
        <Ended id={session.id} page={page} session={session} />
      ) : (
        <>
          <MessageLine
            page={page}
            zone={session.asset.site.timeZone}
            refusal={props.refusal}
            ask={askMore}
            pending={props.pending}
            answerPaste={props.answerPaste}
            quiet={`${session.ticketKey}: ${session.purpose}`}
          />
          {props.rows}
        </>
      )}
      <div className="session-body" hidden={over}>
        <div
          className="screen-place"
          ref={place}
          data-frozen={
            page.link === 'open' && page.hello !== null && page.state !== 'opening' && !mayType(page)
          }
        />
        {drawer ? (
          <SessionDrawer
            id={session.id}
            session={session}
            asking={asking}
            close={() => {
              setDrawer(false)
              setAsking(false)
              props.focus()
            }}
          />
        ) : null}
      </div>
    </div>
  )
}

/** Asks once more in place: leaving ends the session for good. */
function LeaveButton({ leave, may }: { leave: () => void; may: boolean }) {
  const [sure, setSure] = useState(false)
  useEffect(() => {
    if (!sure) return
    const timer = setTimeout(() => setSure(false), 4000)
    return () => clearTimeout(timer)
  }, [sure])
  return (
    <button
      type="button"
      aria-label={sure ? 'End it now' : 'End session'}
      title={sure ? 'End it now' : 'End session'}
      // Without a line nothing can be said to the session; the message line tells that it is lost.
      disabled={!may}
      onClick={() => (sure ? leave() : setSure(true))}
    >
      <IconLogout size={16} aria-hidden />
      {sure ? 'End it now' : <span className="strip-middle">End session</span>}
    </button>
  )
}
