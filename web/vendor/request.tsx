import { Button, Modal } from '@mantine/core'
import { useState } from 'react'
import { Link, useOutletContext, useParams } from 'react-router'
import { DecisionLines } from '../shared/decision-lines.tsx'
import { ErrorNote, Fact, Facts, Note, Page, Section, Shown, Status, When, Window } from '../shared/kit.tsx'
import { hasRole, type Me } from '../shared/me.ts'
import { useNow } from '../shared/now.ts'
import { useAct, useRead } from '../shared/query.ts'
import { type Request, RequestStatus } from '../shared/session-status.tsx'
import { ms } from '../shared/time.ts'
import { WindowBar } from '../shared/window-bar.tsx'
import { CRITICALITY, ENDING, FEATURE, PROTOCOL, ROLE, TICKET_STATE } from '../shared/words.ts'
import { ConsoleWord, opensNow } from './console.tsx'

export function Component() {
  const { id = '' } = useParams()
  const request = useRead('GET /api/requests/:id', { params: { id } }, { live: true })
  return <Shown of={request}>{(data) => <RequestPage request={data} />}</Shown>
}

function RequestPage({ request }: { request: Request }) {
  const me = useOutletContext<Me>()
  const mine = request.requester.id === me.person.id
  const now = useNow(15_000)
  const zone = request.asset.site.timeZone
  const running = request.session && request.session.state !== 'closed' ? request.session : null
  const [withdrawing, setWithdrawing] = useState(false)
  const withdraw = useAct('POST /api/requests/:id/withdraw', () => setWithdrawing(false))
  const over = ms(request.window.closesAt) <= now
  const open = mine && (request.state === 'waiting' || request.state === 'approved') && !over
  return (
    <Page
      title={request.asset.name}
      lead={request.purpose}
      actions={
        <>
          {open && !running ? (
            <>
              <Button variant="default" onClick={() => setWithdrawing(true)}>
                Withdraw
              </Button>
              <Button variant="default" component={Link} to={`/requests/${request.id}/edit`}>
                Edit
              </Button>
            </>
          ) : null}
          {mine && running ? (
            <Button component={Link} to={`/sessions/${running.id}/live`}>
              Go back into the session
            </Button>
          ) : mine && opensNow(request, now) ? (
            <Button component={Link} to={`/requests/${request.id}/open`}>
              Open session
            </Button>
          ) : null}
          {!mine && hasRole(me, 'approver') && request.state === 'waiting' ? (
            <Button component={Link} to={`/decide/${request.id}`}>
              Decide
            </Button>
          ) : null}
        </>
      }
    >
      <div className="columns">
        <div className="stack">
          <div className="panel stack">
            <div className="row row-between">
              <RequestStatus request={request} />
              <span className="dim">Version {request.version}</span>
            </div>
            <WindowBar
              zone={zone}
              planned={
                request.ticket.plannedStart && request.ticket.plannedEnd
                  ? { from: request.ticket.plannedStart, to: request.ticket.plannedEnd }
                  : null
              }
              window={{ from: request.window.opensAt, to: request.window.closesAt }}
              now={now}
            />
            <Facts>
              <Fact name="Window">
                <Window opensAt={request.window.opensAt} closesAt={request.window.closesAt} zone={zone} />
              </Fact>
              <Fact name="Where">
                {request.zonePath}, {CRITICALITY[request.asset.criticality]}
              </Fact>
              <Fact name="How">
                {PROTOCOL[request.endpoint.protocol]} as <span className="mono">{request.account}</span>,
                recorded
              </Fact>
              <Fact name="Also">
                {request.features.length > 0
                  ? request.features.map((feature) => FEATURE[feature]).join('; ')
                  : 'No clipboard'}
              </Fact>
              <Fact name="Ticket">
                {request.ticket.key}, {TICKET_STATE[request.ticket.state]}: {request.ticket.title}{' '}
                <span className="dim">
                  read <When at={request.ticket.fetchedAt} zone={zone} short />
                </span>
              </Fact>
              <Fact name="Ending">{ENDING[request.ending.mode]}</Fact>
            </Facts>
          </div>
          <Section title="Decisions">
            {request.approvals.length === 0 ? (
              <p className="dim">
                Nobody has decided yet.{' '}
                {request.need.count === 1 ? 'One person decides' : `${request.need.count} people decide`}:{' '}
                {request.need.roles.map((role) => ROLE[role].toLowerCase()).join(' or ')}.
              </p>
            ) : (
              <ul className="list">
                {request.approvals.map((approval) => (
                  <li key={approval.id} className="list-row">
                    <div className="list-row-head">
                      <span className="list-title">{approval.by.name}</span>
                      {approval.withdrawnAt ? (
                        <Status tone="attention" word="Withdrawn" />
                      ) : (
                        <Status
                          tone={approval.decision === 'granted' ? 'normal' : 'attention'}
                          word={approval.decision === 'granted' ? 'Approved' : 'Declined'}
                        />
                      )}
                    </div>
                    <When at={approval.at} zone={zone} />
                    {approval.reason ? <p>{approval.reason}</p> : null}
                    {approval.constraints.opensAt || approval.constraints.closesAt ? (
                      <p>
                        Narrowed to{' '}
                        <Window
                          opensAt={approval.constraints.opensAt ?? request.window.opensAt}
                          closesAt={approval.constraints.closesAt ?? request.window.closesAt}
                          zone={zone}
                        />
                      </p>
                    ) : null}
                    {approval.constraints.viewOnly ? <p>View only</p> : null}
                  </li>
                ))}
              </ul>
            )}
          </Section>
        </div>
        {mine ? (
          <aside className="panel stack" aria-label="What holds and what is missing">
            <h2>{opensNow(request, now) ? 'You can open it now' : 'What it waits for'}</h2>
            {running ? null : <ConsoleWord request={request} now={now} />}
            <DecisionLines decision={request.decision} />
          </aside>
        ) : null}
      </div>
      <Modal opened={withdrawing} onClose={() => setWithdrawing(false)} title="Withdraw this request?">
        <div className="stack">
          <Note tone="normal">Its approvals stop counting. You can ask again at any time.</Note>
          {withdraw.error ? <ErrorNote error={withdraw.error} /> : null}
          <div className="row row-end">
            <Button variant="default" onClick={() => setWithdrawing(false)}>
              Keep it
            </Button>
            <Button
              color="alarm"
              loading={withdraw.isPending}
              onClick={() => withdraw.mutate({ params: { id: request.id }, body: {} })}
            >
              Withdraw request
            </Button>
          </div>
        </div>
      </Modal>
    </Page>
  )
}
