import { IconArrowLeft } from '@tabler/icons-react'
import { type RefObject, useEffect } from 'react'
import { Link } from 'react-router'
import { SessionActions } from '../operator/session-actions.tsx'
import { Fact, Facts, Instant, Note } from '../shared/kit.tsx'
import { useNow } from '../shared/now.ts'
import type { Session } from '../shared/session-status.tsx'
import { CRITICALITY, SESSION_END } from '../shared/words.ts'
import type { SessionPage } from './session-state.ts'
import { MessageLine, Strip } from './strip.tsx'

/** What stands around a watched screen, whatever is shown on it. */
export function WatchShell(props: {
  session: Session
  page: SessionPage
  place: RefObject<HTMLDivElement | null>
}) {
  const { session, page, place } = props
  useNow(page.link === 'over' ? 60_000 : 500)
  const title = `${session.asset.name}: ${session.person.name}`
  useEffect(() => {
    document.title = `Watching ${title} · Sallyport`
  }, [title])
  return (
    <div className="session">
      <Strip page={page} title={title}>
        <Link to="/inside" style={{ color: 'inherit' }}>
          <IconArrowLeft size={16} aria-hidden /> Inside now
        </Link>
      </Strip>
      {page.link === 'over' ? (
        <div className="message-line tone-attention" role="status">
          <span>
            <strong>{page.end ? SESSION_END[page.end] : 'You no longer watch this session'}.</strong>{' '}
            {page.message ?? ''}
          </span>
        </div>
      ) : (
        <MessageLine
          watching
          page={page}
          zone={session.asset.site.timeZone}
          refusal={null}
          ask={null}
          pending={null}
          answerPaste={() => undefined}
          quiet={`${session.person.company}, ${session.ticketKey}: ${session.purpose}`}
        />
      )}
      <div className="session-body">
        <div className="screen-place" ref={place} />
        <aside className="session-drawer watch-actions" aria-label="What you can do">
          <SessionActions session={session} />
          <Facts>
            <Fact name="Who">
              {session.person.name}, {session.person.company}
            </Fact>
            <Fact name="Where">
              {session.asset.site.name}, {session.asset.zone}, {CRITICALITY[session.asset.criticality]}
            </Fact>
            <Fact name="Account">
              <span className="mono">{session.account}</span>
            </Fact>
            <Fact name="Ticket">{session.ticketKey}</Fact>
            <Fact name="Purpose">{session.purpose}</Fact>
            <Fact name="Ends">
              <Instant at={session.permitEndsAt} zone={session.asset.site.timeZone} />
            </Fact>
          </Facts>
          <Note tone="quiet">You only look on. The engineer sees your name.</Note>
        </aside>
      </div>
    </div>
  )
}
