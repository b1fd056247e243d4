import { Checkbox } from '@mantine/core'
import { useDocumentVisibility, useMediaQuery } from '@mantine/hooks'
import { IconEye } from '@tabler/icons-react'
import { lazy, Suspense, useRef, useState } from 'react'
import { useOutletContext } from 'react-router'
import { Empty, Page, Section, Shown, TimeLeft, Window } from '../shared/kit.tsx'
import { type Me, useSite } from '../shared/me.ts'
import { useNow } from '../shared/now.ts'
import { useRead } from '../shared/query.ts'
import { type Session, SessionStatus } from '../shared/session-status.tsx'
import { instantTimes, length, ms } from '../shared/time.ts'
import { CRITICALITY } from '../shared/words.ts'
import { Consoles } from './consoles.tsx'
import { SessionActions } from './session-actions.tsx'
import './inside.css'

/** Terminal code is loaded when somebody wants to look. */
const LiveScreen = lazy(() => import('./live-screen.tsx'))
/** So many screens at once: each is a stream of its own through broker and gateway. */
const SCREENS = 6

/** The wall: everybody who is inside now. Grey when all is well; what is held or about to end stands out and comes first. */
export function Component() {
  const me = useOutletContext<Me>()
  const { chosen } = useSite(me)
  const site = chosen ? { siteId: chosen.id } : {}
  const sessions = useRead(
    'GET /api/sessions',
    { query: { live: 'true', limit: 100, ...site } },
    { live: true },
  )
  const holding = useRead(
    'GET /api/sessions',
    { query: { holdStands: 'true', limit: 100, ...site } },
    { live: true },
  )
  const now = useNow(1000)
  const kept = useRef(new Map<string, Session>())
  // Off until asked for, on each visit: looking on is a deed that the engineer sees and the log keeps.
  const [looking, setLooking] = useState(false)
  const desk = useMediaQuery('(min-width: 64rem)', false, { getInitialValueInEffect: false })
  const seen = useDocumentVisibility() === 'visible'
  const live = (sessions.data?.items ?? []).filter(({ state }) => state === 'live' || state === 'held')
  const screens = new Set(
    looking && desk && seen
      ? live
          .map(({ id }) => id)
          .sort()
          .slice(0, SCREENS)
      : [],
  )
  return (
    <Page
      title="Inside now"
      lead={
        sessions.data
          ? sessions.data.items.length === 0
            ? 'Nobody'
            : `${sessions.data.items.length} ${sessions.data.items.length === 1 ? 'session' : 'sessions'}`
          : undefined
      }
      actions={
        desk && live.length > 0 ? (
          <Checkbox
            label="Live screens"
            description={`You watch while they show: the engineer sees your name${live.length > SCREENS ? `; ${SCREENS} at most` : ''}`}
            checked={looking}
            onChange={(event) => setLooking(event.currentTarget.checked)}
          />
        ) : null
      }
      wide
    >
      <Consoles siteId={chosen?.id} />
      <Shown of={sessions}>
        {({ items }) => {
          // A session just stopped here stays on the wall until the page is left, so its reason can be given.
          // So does one that is over while its hold stands, until somebody releases it.
          const over = holding.data?.items ?? []
          for (const session of [...over, ...items]) kept.current.set(session.id, session)
          const shown = [...kept.current.values()]
            .filter((session) => !chosen || session.asset.site.id === chosen.id)
            .map(
              (session) =>
                items.find((item) => item.id === session.id) ??
                over.find((item) => item.id === session.id) ?? {
                  ...session,
                  state: 'closed' as const,
                  holdStands: false,
                },
            )
          return shown.length === 0 ? (
            <Empty title="Nobody is inside">
              When a vendor opens a session, it stands here with its time left.
            </Empty>
          ) : (
            <div className="wall" data-screens={screens.size > 0}>
              {shown.sort(byUrgency).map((session) => (
                <Tile key={session.id} session={session} now={now} screen={screens.has(session.id)} />
              ))}
            </div>
          )
        }}
      </Shown>
      <Next site={site} now={now} />
    </Page>
  )
}

function byUrgency(a: Session, b: Session): number {
  const rank = (session: Session) =>
    session.state === 'held' || session.inputFrozen ? 0 : session.state === 'closed' ? 2 : 1
  return rank(a) - rank(b) || ms(a.permitEndsAt) - ms(b.permitEndsAt)
}

function Tile({ session, now, screen }: { session: Session; now: number; screen: boolean }) {
  const zone = session.asset.site.timeZone
  const held = session.state === 'held' && session.holdEndsAt !== null
  const end = held && session.holdEndsAt ? session.holdEndsAt : session.permitEndsAt
  const left = ms(end) - now
  const started = session.startedAt ?? session.permitEndsAt
  const closed = session.state === 'closed'
  return (
    <article
      className="tile"
      data-state={session.state === 'held' || session.inputFrozen ? 'held' : session.state}
    >
      <header className="row row-between">
        <h2>{session.asset.name}</h2>
        {closed ? <HowItEnded id={session.id} /> : <SessionStatus session={session} />}
      </header>
      {screen ? (
        <Suspense fallback={<div className="live-screen" aria-busy="true" />}>
          <LiveScreen id={session.id} asset={session.asset.name} protocol={session.protocol} />
        </Suspense>
      ) : null}
      <p>
        <strong>{session.person.name}</strong>, {session.person.company}
      </p>
      <p className="dim">
        {session.asset.site.name}, {session.asset.zone} · {CRITICALITY[session.asset.criticality]}
      </p>
      <p className="clip-2">
        <span className="chip">{session.ticketKey}</span> {session.purpose}
      </p>
      {session.cause && !closed ? (
        <p className="tile-cause">
          {session.cause}
          {session.by ? ` (${session.by})` : ''}
        </p>
      ) : null}
      {closed ? null : (
        <div className="stack-tight">
          <TimeLeft
            from={held ? session.permitEndsAt : started}
            to={end}
            now={now}
            label={`${held ? 'Held, ends in' : 'Time left'} ${length(left)}`}
          />
          <span className="num">
            {left > 0 ? (
              <>
                <strong>{length(left)}</strong> {held ? 'until it ends' : 'left'}
              </>
            ) : (
              <strong>Time over</strong>
            )}
            <span className="dim"> · until {instantTimes(end, zone).text}</span>
          </span>
        </div>
      )}
      {session.watchers.length > 0 && !closed ? (
        <p className="dim row">
          <IconEye size={16} aria-hidden /> {session.watchers.join(', ')}
        </p>
      ) : null}
      <SessionActions session={session} />
    </article>
  )
}

/** A session that ended while the wall was looked at says how, instead of vanishing. */
function HowItEnded({ id }: { id: string }) {
  const session = useRead('GET /api/sessions/:id', { params: { id } }, { live: true })
  return session.data?.state === 'closed' ? (
    <SessionStatus session={session.data} />
  ) : (
    <span className="dim">Closed</span>
  )
}

/** What comes next, so that nobody is surprised. Operators without an approver's rights see it too. */
function Next({ site, now }: { site: { siteId?: string }; now: number }) {
  const coming = useRead(
    'GET /api/requests',
    { query: { view: 'all', state: 'approved', limit: 20, ...site } },
    { live: true },
  )
  const list = (coming.data?.items ?? [])
    .filter(
      (request) =>
        ms(request.window.closesAt) > now && (request.session === null || request.session.state === 'closed'),
    )
    .sort((a, b) => ms(a.window.opensAt) - ms(b.window.opensAt))
    .slice(0, 5)
  if (list.length === 0) return null
  return (
    <Section title="Next windows">
      <ul className="list">
        {list.map((request) => (
          <li key={request.id} className="list-row">
            <div className="list-row-head">
              <span className="list-title">{request.asset.name}</span>
              <span className="dim">
                <Window
                  opensAt={request.window.opensAt}
                  closesAt={request.window.closesAt}
                  zone={request.asset.site.timeZone}
                />
              </span>
            </div>
            <span className="dim">
              {request.requester.name}, {request.requester.company} · {request.ticket.key}: {request.purpose}
            </span>
          </li>
        ))}
      </ul>
    </Section>
  )
}
