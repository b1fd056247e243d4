import { IconArrowLeft } from '@tabler/icons-react'
import { useEffect, useRef } from 'react'
import { Link, useParams } from 'react-router'
import { SessionActions } from '../operator/session-actions.tsx'
import { Fact, Facts, Instant, Note, Shown } from '../shared/kit.tsx'
import { useNow } from '../shared/now.ts'
import { useRead } from '../shared/query.ts'
import { CRITICALITY, SESSION_END } from '../shared/words.ts'
import { MessageLine, Strip } from './strip.tsx'
import { useSession } from './use-session.ts'
import './session.css'

/** An operator looks on, read-only; the vendor sees who watches. */
export function Component() {
  const { id = '' } = useParams()
  return <Watch id={id} key={id} />
}

function Watch({ id }: { id: string }) {
  const place = useRef<HTMLDivElement>(null)
  const { page, refusal } = useSession(id, true, place)
  const session = useRead('GET /api/sessions/:id', { params: { id } }, { live: true })
  useNow(page.link === 'over' ? 60_000 : 500)
  const title = session.data
    ? `${session.data.asset.name}: ${session.data.person.name}`
    : (page.hello?.asset ?? 'Watching')
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
          zone={session.data?.asset.site.timeZone ?? 'UTC'}
          refusal={refusal}
          ask={null}
          pending={null}
          answerPaste={() => undefined}
          quiet={
            session.data
              ? `${session.data.person.company}, ${session.data.ticketKey}: ${session.data.purpose}`
              : ''
          }
        />
      )}
      <div className="session-body">
        <div className="terminal-place" ref={place} />
        <aside className="session-drawer watch-actions" aria-label="What you can do">
          <Shown of={session}>
            {(data) => (
              <>
                <SessionActions session={data} />
                <Facts>
                  <Fact name="Who">
                    {data.person.name}, {data.person.company}
                  </Fact>
                  <Fact name="Where">
                    {data.asset.site.name}, {data.asset.zone}, {CRITICALITY[data.asset.criticality]}
                  </Fact>
                  <Fact name="Account">
                    <span className="mono">{data.account}</span>
                  </Fact>
                  <Fact name="Ticket">{data.ticketKey}</Fact>
                  <Fact name="Purpose">{data.purpose}</Fact>
                  <Fact name="Ends">
                    <Instant at={data.permitEndsAt} zone={data.asset.site.timeZone} />
                  </Fact>
                </Facts>
                <Note tone="quiet">You only look on. The engineer sees your name.</Note>
              </>
            )}
          </Shown>
        </aside>
      </div>
    </div>
  )
}
