import { useState } from 'react'
import { Link, useOutletContext } from 'react-router'
import { Empty, Page, Section, Shown, When, Window } from '../shared/kit.tsx'
import { type Me, useSite } from '../shared/me.ts'
import { useNow } from '../shared/now.ts'
import { useRead } from '../shared/query.ts'
import type { Request } from '../shared/session-status.tsx'
import { relative, windowTimes } from '../shared/time.ts'
import { CRITICALITY } from '../shared/words.ts'
import { type Extension, ExtensionCard } from './extension-card.tsx'
import { CannotSign } from './signing.tsx'
import './decide.css'

/** What waits for this person: more time for running work first (minutes count), then requests. */
export function Component() {
  const me = useOutletContext<Me>()
  const { chosen } = useSite(me)
  const site = chosen ? { siteId: chosen.id } : {}
  const requests = useRead(
    'GET /api/requests',
    { query: { view: 'decide', limit: 50, ...site } },
    { live: true },
  )
  const extensions = useRead('GET /api/extensions', { query: {} }, { live: true })
  const coming = useRead(
    'GET /api/requests',
    { query: { view: 'all', state: 'approved', limit: 20, ...site } },
    { live: true },
  )
  // One that was answered here stays until the page is left, so that what became of it can be read.
  const [answered, setAnswered] = useState<Extension[]>([])
  const waiting = [
    ...answered,
    ...(extensions.data ?? []).filter(
      (extension) => extension.state === 'waiting' && !answered.some((other) => other.id === extension.id),
    ),
  ]
  const now = useNow(15_000)
  const next = (coming.data?.items ?? [])
    .filter((request) => new Date(request.window.opensAt).getTime() > now)
    .sort((a, b) => a.window.opensAt.localeCompare(b.window.opensAt))[0]
  return (
    <Page title="Decide">
      {me.signingPasskey ? null : <CannotSign />}
      {waiting.length > 0 ? (
        <Section title="More time, for work that runs now">
          <div className="list">
            {waiting.map((extension) => (
              <ExtensionCard
                key={extension.id}
                extension={extension}
                me={me}
                answered={() => setAnswered((others) => [...others, extension])}
              />
            ))}
          </div>
        </Section>
      ) : null}
      <Shown of={requests}>
        {({ items }) =>
          items.length === 0 ? (
            waiting.length > 0 ? null : (
              <Empty title="Nobody waits for you">
                {next
                  ? `Next planned window: ${windowTimes(next.window.opensAt, next.window.closesAt, next.asset.site.timeZone).text}, ${next.asset.name}, ${next.requester.company}.`
                  : 'When a vendor asks for access to an asset of your site, the request comes here. You read it, and sign or decline it with your passkey.'}
              </Empty>
            )
          ) : (
            <Section title={items.length === 1 ? 'One request waits' : `${items.length} requests wait`}>
              <div className="list">
                {items.map((request) => (
                  <Row key={request.id} request={request} now={now} />
                ))}
              </div>
            </Section>
          )
        }
      </Shown>
    </Page>
  )
}

function Row({ request, now }: { request: Request; now: number }) {
  const zone = request.asset.site.timeZone
  const granted = request.approvals.filter((a) => a.decision === 'granted' && !a.withdrawnAt).length
  return (
    <Link to={`/decide/${request.id}`} className="list-row">
      <div className="list-row-head">
        <span className="list-title">{request.purpose}</span>
        <span className="chip">{CRITICALITY[request.asset.criticality]}</span>
      </div>
      <span>
        {request.requester.name}, {request.requester.company} · {request.asset.name}
      </span>
      <Window opensAt={request.window.opensAt} closesAt={request.window.closesAt} zone={zone} />
      <span className="dim">
        Opens {relative(request.window.opensAt, now)} · {granted} of {request.need.count} approvals · asked{' '}
        <When at={request.createdAt} zone={zone} short />
      </span>
    </Link>
  )
}
