import { Button } from '@mantine/core'
import { IconArrowRight, IconPlus } from '@tabler/icons-react'
import type { ReactNode } from 'react'
import { Link, useOutletContext } from 'react-router'
import { DecisionLines } from '../shared/decision-lines.tsx'
import { Empty, Page, Section, Shown, TimeLeft, Window } from '../shared/kit.tsx'
import { type Me, useSite } from '../shared/me.ts'
import { useNow } from '../shared/now.ts'
import { useRead } from '../shared/query.ts'
import { type Request, RequestStatus } from '../shared/session-status.tsx'
import { length, ms, relative } from '../shared/time.ts'
import { ConsoleWord, opensNow } from './console.tsx'
import { groupWork } from './group-work.ts'

export function Component() {
  const me = useOutletContext<Me>()
  const { chosen } = useSite(me)
  const requests = useRead(
    'GET /api/requests',
    { query: { view: 'mine', limit: 100, ...(chosen ? { siteId: chosen.id } : {}) } },
    { live: true },
  )
  const now = useNow(1000)
  return (
    <Page
      title="My work"
      actions={
        <Button component={Link} to="/requests/new" leftSection={<IconPlus size={17} aria-hidden />}>
          New request
        </Button>
      }
    >
      <Shown of={requests}>
        {({ items }) => {
          const work = groupWork(items, now)
          if (items.length === 0)
            return (
              <Empty
                title="Nothing here yet"
                action={<Link to="/requests/new">Ask for access to an asset</Link>}
              >
                You ask for one asset, under one change ticket, for one window. Once the site has approved it,
                it stands here with a button to open it.
              </Empty>
            )
          return (
            <>
              {work.now.length > 0 ? (
                <Section title="Now">
                  <ul className="list">
                    {work.now.map((request) => (
                      <Now key={request.id} request={request} now={now} />
                    ))}
                  </ul>
                </Section>
              ) : null}
              <Section title="Next">
                {work.next.length === 0 ? (
                  <p className="dim">No approved window ahead.</p>
                ) : (
                  <ul className="list">
                    {work.next.map((request) => (
                      <Row key={request.id} request={request}>
                        <span className="dim">
                          {ms(request.window.opensAt) > now
                            ? `Opens ${relative(request.window.opensAt, now)}`
                            : 'Not ready'}
                        </span>
                        <DecisionLines decision={request.decision} only="missing" without="window-not-open" />
                      </Row>
                    ))}
                  </ul>
                )}
              </Section>
              <Section title="Waiting">
                {work.waiting.length === 0 ? (
                  <p className="dim">Nothing waits for a decision.</p>
                ) : (
                  <ul className="list">
                    {work.waiting.map((request) => (
                      <Row key={request.id} request={request}>
                        <DecisionLines decision={request.decision} only="missing" />
                      </Row>
                    ))}
                  </ul>
                )}
              </Section>
              {work.past.length > 0 ? (
                <Section title="Past">
                  <ul className="list">
                    {work.past.map((request) => (
                      <Row key={request.id} request={request} />
                    ))}
                  </ul>
                </Section>
              ) : null}
            </>
          )
        }}
      </Shown>
    </Page>
  )
}

/** A window that is open, or a session that runs: the one thing to press is here. */
function Now({ request, now }: { request: Request; now: number }) {
  const running = request.session !== null && request.session.state !== 'closed'
  const left = ms(request.window.closesAt) - now
  return (
    <li className="list-row">
      <div className="list-row-head">
        <Link to={`/requests/${request.id}`} className="list-title">
          {request.asset.name}
        </Link>
        <span className="dim">
          {request.ticket.key} · {request.asset.site.name}
        </span>
      </div>
      <p>{request.purpose}</p>
      <TimeLeft
        from={request.window.opensAt}
        to={request.window.closesAt}
        now={now}
        label={`Time left: ${length(left)}`}
      />
      <div className="row row-between">
        <span>
          <strong className="num">{length(left)}</strong> left{' '}
          <span className="dim">
            <Window
              opensAt={request.window.opensAt}
              closesAt={request.window.closesAt}
              zone={request.asset.site.timeZone}
            />
          </span>
        </span>
        {running && request.session ? (
          <Button
            component={Link}
            to={`/sessions/${request.session.id}/live`}
            rightSection={<IconArrowRight size={17} />}
          >
            Go back into the session
          </Button>
        ) : opensNow(request, now) ? (
          <Button
            component={Link}
            to={`/requests/${request.id}/open`}
            rightSection={<IconArrowRight size={17} />}
          >
            Open session
          </Button>
        ) : null}
      </div>
      {running ? null : <ConsoleWord request={request} now={now} />}
    </li>
  )
}

function Row({ request, children }: { request: Request; children?: ReactNode }) {
  return (
    <li className="list-row">
      <div className="list-row-head">
        <Link to={`/requests/${request.id}`} className="list-title">
          {request.asset.name}
        </Link>
        <RequestStatus request={request} />
      </div>
      <span className="dim">
        {request.ticket.key} · {request.purpose}
      </span>
      <Window
        opensAt={request.window.opensAt}
        closesAt={request.window.closesAt}
        zone={request.asset.site.timeZone}
      />
      {children}
    </li>
  )
}
