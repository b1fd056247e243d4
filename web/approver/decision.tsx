import { Button, Checkbox, Modal, Textarea, TextInput } from '@mantine/core'
import { IconAlertTriangle, IconExternalLink, IconFingerprint } from '@tabler/icons-react'
import { type ReactNode, useEffect, useId, useRef, useState } from 'react'
import { Link, useOutletContext, useParams } from 'react-router'
import type { Feature } from '../../broker/domain/words.ts'
import { type BodyInput, call } from '../shared/api.ts'
import { ErrorNote, fieldError, Note, Page, Shown, Status, Waiting, When, Window } from '../shared/kit.tsx'
import type { Me } from '../shared/me.ts'
import { useNow } from '../shared/now.ts'
import { refreshShown, useAct, useRead } from '../shared/query.ts'
import { type Request, RequestStatus } from '../shared/session-status.tsx'
import { city, fromWall, length, ms, toWall, windowTimes } from '../shared/time.ts'
import { WindowBar } from '../shared/window-bar.tsx'
import {
  assetType,
  CRITICALITY,
  DEVIATION,
  ENDING,
  FEATURE,
  FEATURE_SHORT,
  PROTOCOL,
  ROLE,
  TICKET_STATE,
  ticketSystem,
} from '../shared/words.ts'
import { CannotSign, Signing, type ToSign } from './signing.tsx'
import './decide.css'

type Constraints = BodyInput<'POST /api/requests/:id/decision/options'>['constraints']

export function Component() {
  const { id = '' } = useParams()
  const request = useRead('GET /api/requests/:id', { params: { id } }, { live: true })
  return (
    <Shown
      of={request}
      waiting={
        <Page title="Decide">
          <Waiting rows={5} height={90} />
        </Page>
      }
    >
      {(data) => <Card request={data} key={data.id} />}
    </Shown>
  )
}

function Card({ request }: { request: Request }) {
  const me = useOutletContext<Me>()
  const now = useNow(1000)
  const zone = request.asset.site.timeZone
  const [constraints, setConstraints] = useState<Constraints>({})
  const [asking, setAsking] = useState<'narrow' | 'decline' | null>(null)
  const [toSign, setToSign] = useState<(ToSign & { decision: 'granted' | 'declined' }) | null>(null)
  const [error, setError] = useState<unknown>(null)
  const [busy, setBusy] = useState(false)
  const granted = request.approvals.filter((a) => a.decision === 'granted' && !a.withdrawnAt)
  const mine = request.approvals.find((a) => a.by.id === me.person.id && !a.withdrawnAt)
  const opens = ms(request.window.opensAt)
  const planned =
    request.ticket.plannedStart && request.ticket.plannedEnd
      ? { from: request.ticket.plannedStart, to: request.ticket.plannedEnd }
      : null
  const cut = narrowedWindow(request, constraints)

  const begin = async (decision: 'granted' | 'declined', reason: string | null) => {
    setBusy(true)
    setError(null)
    try {
      const begun = await call('POST /api/requests/:id/decision/options', {
        params: { id: request.id },
        body: {
          decision,
          constraints: decision === 'granted' ? constraints : {},
          snapshotHash: request.snapshotHash,
          reason,
        },
      })
      setAsking(null)
      setToSign({ ...begun, decision })
    } catch (failure) {
      setError(failure)
      // It was refused for something that this page does not show yet.
      refreshShown()
    } finally {
      setBusy(false)
    }
  }

  return (
    <Page title="Decide" actions={<Link to="/decide">All waiting</Link>}>
      <article className="panel card" aria-labelledby="card-title">
        <div className="card-top">
          <RequestStatus request={request} />
          <span className="num">
            {opens > now ? (
              <>
                Opens in <strong>{length(opens - now)}</strong>
              </>
            ) : ms(request.window.closesAt) > now ? (
              <>
                Window open, <strong>{length(ms(request.window.closesAt) - now)}</strong> left
              </>
            ) : (
              'Window over'
            )}{' '}
            · {granted.length} of {request.need.count} approvals
          </span>
        </div>
        <h2 className="card-title" id="card-title">
          {request.purpose}
        </h2>
        <Part name="Who">
          <p className="strong">
            {request.requester.name}, {request.requester.company}
          </p>
          <p className="dim">
            {request.requester.visits === 0
              ? 'First visit'
              : `${request.requester.visits} ${request.requester.visits === 1 ? 'visit' : 'visits'} so far`}
            {request.requester.lastVisitAt ? (
              <>
                , last <When at={request.requester.lastVisitAt} zone={zone} short />
              </>
            ) : null}
          </p>
        </Part>
        <Part name="What">
          <p className="strong">
            {request.asset.name} <span className="dim">({assetType(request.asset.type)})</span>
          </p>
          <p>{request.asset.description}</p>
          <p className="dim">
            {request.zonePath} · {CRITICALITY[request.asset.criticality]}
          </p>
          {request.hazard ? (
            <p>
              <span className="dim">What can go wrong:</span> {request.hazard}
            </p>
          ) : null}
        </Part>
        <Part name="When">
          <p className="strong">
            <Window opensAt={request.window.opensAt} closesAt={request.window.closesAt} zone={zone} />
          </p>
          <WindowBar
            zone={zone}
            planned={planned}
            window={{ from: request.window.opensAt, to: request.window.closesAt }}
            {...(cut ? { narrowed: cut } : {})}
            otherWork={request.otherWork.map((work) => ({
              from: work.opensAt,
              to: work.closesAt,
              label: `${work.asset}, ${work.company}`,
            }))}
            now={now}
          />
        </Part>
        <Part name="Ticket">
          <div className="row">
            <span className="chip">{request.ticket.key}</span>
            <Status
              tone={request.ticket.state === 'approved' ? 'normal' : 'attention'}
              word={TICKET_STATE[request.ticket.state]}
            />
            {request.ticket.link ? (
              <a href={request.ticket.link} target="_blank" rel="noreferrer">
                Open <IconExternalLink size={14} aria-label="in a new tab" />
              </a>
            ) : null}
          </div>
          <p>{request.ticket.title}</p>
          <p className="dim">
            {ticketSystem(request.ticket.system)}, read{' '}
            <When at={request.ticket.fetchedAt} zone={zone} short />
          </p>
        </Part>
        <Part name="How">
          <p>
            {PROTOCOL[request.endpoint.protocol]} as <strong>{request.account}</strong>; recorded
          </p>
          <p>
            {request.features.length > 0
              ? `Clipboard: ${request.features.map((feature) => FEATURE_SHORT[feature]).join(', ')}`
              : 'No clipboard'}
            ; no file transfer
          </p>
          <p className="dim">{ENDING[request.ending.mode]}</p>
        </Part>
        {request.deviations.length > 0 ? (
          <Part name="Exception">
            <div className="stack">
              {request.deviations.map(({ kind, exception }) => (
                <div key={kind} className="stack-tight">
                  <div>
                    <Status tone="attention" word={DEVIATION[kind].name} />
                  </div>
                  <p>{DEVIATION[kind].means}</p>
                  {exception === null ? (
                    <p>No exception is open: an operator of the site opens one before anybody can approve.</p>
                  ) : (
                    <>
                      <p>
                        <span className="dim">Stands against it:</span> {exception.compensatingControl}
                      </p>
                      <p>
                        <span className="dim">Why:</span> {exception.reason}
                      </p>
                      <p className="dim">
                        {exception.owner} answers for it.{' '}
                        {ms(exception.expiresAt) > now ? 'It ends' : 'It ended'}{' '}
                        <When at={exception.expiresAt} zone={zone} />
                      </p>
                    </>
                  )}
                </div>
              ))}
            </div>
          </Part>
        ) : null}
        {request.risks.length > 0 ? (
          <Part name="Risk">
            <ul className="risks">
              {request.risks.map((risk) => (
                <li key={risk}>
                  <IconAlertTriangle size={16} aria-hidden />
                  <span>{risk}</span>
                </li>
              ))}
            </ul>
          </Part>
        ) : null}
        {request.approvals.length > 0 ? (
          <Part name="So far">
            {request.approvals.map((approval) => (
              <p key={approval.id}>
                <strong>{approval.by.name}</strong>, {ROLE[approval.by.role].toLowerCase()},{' '}
                {approval.withdrawnAt
                  ? 'approved and withdrew it'
                  : approval.decision === 'granted'
                    ? 'approved'
                    : 'declined'}{' '}
                <When at={approval.at} zone={zone} short />
                {approval.reason ? `: ${approval.reason}` : ''}
              </p>
            ))}
          </Part>
        ) : null}
      </article>
      {error && asking === null ? <Refusal error={error} /> : null}
      {cut || constraints.viewOnly || constraints.features || constraints.inputDuringGrace ? (
        <Note tone="normal">
          <p>
            <strong>You narrow it:</strong> {constraintWords(request, constraints).join('; ')}.{' '}
            <Button size="compact-xs" variant="subtle" onClick={() => setConstraints({})}>
              Take back
            </Button>
          </p>
        </Note>
      ) : null}
      {request.state === 'waiting' && !mine && !me.signingPasskey ? (
        <div className="card">
          <CannotSign />
        </div>
      ) : null}
      {request.state === 'waiting' && !mine ? (
        <div className="thumb-bar">
          <Button variant="default" onClick={() => setAsking('decline')}>
            Decline
          </Button>
          <Button variant="default" onClick={() => setAsking('narrow')}>
            Narrow
          </Button>
          <Button
            onClick={() => void begin('granted', null)}
            loading={busy && asking === null}
            disabled={!me.signingPasskey}
            leftSection={<IconFingerprint size={18} aria-hidden />}
          >
            Approve with passkey
          </Button>
        </div>
      ) : (
        <AfterDecision request={request} own={mine ?? null} />
      )}
      <NarrowDialog
        request={request}
        opened={asking === 'narrow'}
        close={() => setAsking(null)}
        constraints={constraints}
        set={setConstraints}
      />
      <DeclineDialog
        opened={asking === 'decline'}
        close={() => setAsking(null)}
        busy={busy}
        error={error}
        decline={(reason) => void begin('declined', reason)}
      />
      <Signing
        toSign={toSign}
        zone={zone}
        verb={toSign?.decision === 'declined' ? 'Decline with passkey' : 'Approve with passkey'}
        close={() => setToSign(null)}
        send={async ({ challengeId }, assertion) => {
          await call('POST /api/requests/:id/decision', {
            params: { id: request.id },
            body: { challengeId, assertion },
          })
          setToSign(null)
          setConstraints({})
          refreshShown()
        }}
      />
    </Page>
  )
}

/** A refusal comes into sight: on a phone the end of the card lies below the screen. */
function Refusal({ error }: { error: unknown }) {
  const place = useRef<HTMLDivElement>(null)
  useEffect(() => {
    if (error) place.current?.scrollIntoView({ block: 'center' })
  }, [error])
  return (
    <div ref={place} className="card">
      <ErrorNote error={error} />
    </div>
  )
}

function Part({ name, children }: { name: string; children: ReactNode }) {
  const id = useId()
  return (
    <section className="card-part" aria-labelledby={id}>
      <h2 id={id}>{name}</h2>
      <div>{children}</div>
    </section>
  )
}

function narrowedWindow(request: Request, constraints: Constraints) {
  if (!constraints.opensAt && !constraints.closesAt) return null
  return {
    from: constraints.opensAt ?? request.window.opensAt,
    to: constraints.closesAt ?? request.window.closesAt,
  }
}

function constraintWords(request: Request, constraints: Constraints): string[] {
  const cut = narrowedWindow(request, constraints)
  const words: string[] = []
  if (cut) words.push(windowTimes(cut.from, cut.to, request.asset.site.timeZone).plant)
  if (constraints.viewOnly) words.push('view only')
  if (constraints.features)
    words.push(
      constraints.features.length > 0
        ? `clipboard only ${constraints.features.map((feature) => FEATURE_SHORT[feature]).join(', ')}`
        : 'no clipboard',
    )
  if (constraints.inputDuringGrace) words.push('input goes on after the end')
  return words
}

/** What happens next, and when: said after every decision. */
function AfterDecision({ request, own }: { request: Request; own: Request['approvals'][number] | null }) {
  const [asking, setAsking] = useState(false)
  const [reason, setReason] = useState('')
  const withdraw = useAct('POST /api/approvals/:id/withdraw', () => setAsking(false))
  const granted = request.approvals.filter((a) => a.decision === 'granted' && !a.withdrawnAt).length
  const times = windowTimes(request.window.opensAt, request.window.closesAt, request.asset.site.timeZone)
  const next =
    request.state === 'declined'
      ? `Declined. ${request.requester.name} sees it now, with the reason; nothing opens.`
      : request.state === 'approved'
        ? `Approved. ${request.requester.name} can open the session ${times.text}. You are warned 15, 5 and 1 minutes before its end, and see it under Inside now.`
        : request.state === 'waiting'
          ? `Signed: ${granted} of ${request.need.count}. It waits for ${request.need.count - granted} more (${request.need.roles.map((role) => ROLE[role].toLowerCase()).join(' or ')}).`
          : 'This request is over; nothing is to decide.'
  return (
    <div className="stack card">
      <Note tone="normal">
        <p>
          <strong>What happens next.</strong> {next}
        </p>
      </Note>
      <div className="row">
        {own?.decision === 'granted' && (request.state === 'approved' || request.state === 'waiting') ? (
          <Button variant="default" onClick={() => setAsking(true)}>
            Withdraw my approval
          </Button>
        ) : null}
        <Button component={Link} to="/decide" variant="default">
          Next
        </Button>
      </div>
      <Modal opened={asking} onClose={() => setAsking(false)} title="Withdraw your approval?">
        <form
          className="stack"
          onSubmit={(event) => {
            event.preventDefault()
            if (own) withdraw.mutate({ params: { id: own.id }, body: { reason } })
          }}
        >
          <p>
            Nothing new opens. A session that runs ends by its rule:{' '}
            {ENDING[request.ending.mode].toLowerCase()}.
          </p>
          <TextInput
            label="Reason"
            value={reason}
            onChange={(event) => setReason(event.currentTarget.value)}
            required
            error={fieldError(withdraw.error, 'reason')}
            data-autofocus
          />
          {withdraw.error ? <ErrorNote error={withdraw.error} /> : null}
          <Button type="submit" color="alarm" loading={withdraw.isPending}>
            Withdraw approval
          </Button>
        </form>
      </Modal>
    </div>
  )
}

function NarrowDialog(props: {
  request: Request
  opened: boolean
  close: () => void
  constraints: Constraints
  set: (constraints: Constraints) => void
}) {
  const { request, constraints, set } = props
  const zone = request.asset.site.timeZone
  const now = useNow(30_000)
  const cut = narrowedWindow(request, constraints) ?? {
    from: request.window.opensAt,
    to: request.window.closesAt,
  }
  const bounds = { from: ms(request.window.opensAt), to: ms(request.window.closesAt) }
  /** Never wider than asked. */
  const keep = (from: number, to: number) => {
    const opensAt = Math.max(bounds.from, Math.min(from, bounds.to))
    const closesAt = Math.min(bounds.to, Math.max(to, opensAt + 60_000))
    const { opensAt: _, closesAt: __, ...rest } = constraints
    set({
      ...rest,
      ...(opensAt > bounds.from ? { opensAt: new Date(opensAt).toISOString() } : {}),
      ...(closesAt < bounds.to ? { closesAt: new Date(closesAt).toISOString() } : {}),
    })
  }
  const features = constraints.features ?? request.features
  const toggleFeature = (feature: Feature, on: boolean) => {
    const next = request.features.filter((other) => (other === feature ? on : features.includes(other)))
    const { features: _, ...rest } = constraints
    set(next.length === request.features.length ? rest : { ...rest, features: next })
  }
  const flag = (name: 'viewOnly' | 'inputDuringGrace', on: boolean) => {
    const { [name]: _, ...rest } = constraints
    // Pasting is typing: who may only look on pastes nothing.
    const kept =
      name === 'viewOnly' && on && features.includes('clipboard-paste')
        ? { ...rest, features: features.filter((feature) => feature !== 'clipboard-paste') }
        : rest
    set(on ? { ...kept, [name]: true } : kept)
  }
  return (
    <Modal opened={props.opened} onClose={props.close} title="Narrow the request" size="lg">
      <div className="stack">
        <p className="dim">You can take away, never add. What you sign is the narrowed request.</p>
        <WindowBar
          zone={zone}
          planned={bounds}
          plannedLabel="Asked for"
          window={cut}
          now={now}
          onChange={(window) => keep(window.from, window.to)}
        />
        <div className="form-pair">
          <TextInput
            type="datetime-local"
            label={`Opens, plant time (${city(zone)})`}
            value={toWall(cut.from, zone)}
            min={toWall(bounds.from, zone)}
            max={toWall(bounds.to, zone)}
            onChange={(event) => {
              const at = fromWall(event.currentTarget.value, zone)
              if (at) keep(ms(at), ms(cut.to))
            }}
          />
          <TextInput
            type="datetime-local"
            label={`Closes, plant time (${city(zone)})`}
            value={toWall(cut.to, zone)}
            min={toWall(bounds.from, zone)}
            max={toWall(bounds.to, zone)}
            onChange={(event) => {
              const at = fromWall(event.currentTarget.value, zone)
              if (at) keep(ms(cut.from), ms(at))
            }}
          />
        </div>
        <Checkbox
          label="View only: nothing can be typed"
          checked={constraints.viewOnly === true}
          onChange={(event) => flag('viewOnly', event.currentTarget.checked)}
        />
        {request.features.map((feature) => (
          <Checkbox
            key={feature}
            label={FEATURE[feature]}
            checked={features.includes(feature)}
            onChange={(event) => toggleFeature(feature, event.currentTarget.checked)}
          />
        ))}
        {request.ending.mode === 'cut' ? null : (
          <Checkbox
            label="Input during grace: typing goes on after the window's end, while the connection is held"
            description="The one thing you can give beyond the request. For work that must not stop half-way."
            checked={constraints.inputDuringGrace === true}
            onChange={(event) => flag('inputDuringGrace', event.currentTarget.checked)}
          />
        )}
        <div className="row row-end">
          <Button onClick={props.close}>Keep this</Button>
        </div>
      </div>
    </Modal>
  )
}

function DeclineDialog(props: {
  opened: boolean
  close: () => void
  busy: boolean
  error: unknown
  decline: (reason: string) => void
}) {
  const [reason, setReason] = useState('')
  return (
    <Modal opened={props.opened} onClose={props.close} title="Decline">
      <form
        className="stack"
        onSubmit={(event) => {
          event.preventDefault()
          props.decline(reason.trim())
        }}
      >
        <Textarea
          label="Reason"
          description="The engineer reads it, and knows what to ask for instead."
          value={reason}
          onChange={(event) => setReason(event.currentTarget.value)}
          required
          maxLength={500}
          autosize
          minRows={2}
          error={fieldError(props.error, 'reason')}
          data-autofocus
        />
        {props.error ? <ErrorNote error={props.error} /> : null}
        <div className="row row-end">
          <Button variant="default" onClick={props.close}>
            Back
          </Button>
          <Button type="submit" loading={props.busy}>
            Decline
          </Button>
        </div>
      </form>
    </Modal>
  )
}
