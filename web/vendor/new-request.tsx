import { Button, Checkbox, NativeSelect, Textarea, TextInput } from '@mantine/core'
import { useDebouncedValue } from '@mantine/hooks'
import { IconSearch } from '@tabler/icons-react'
import { useQuery } from '@tanstack/react-query'
import { useEffect, useRef, useState } from 'react'
import { useNavigate, useParams } from 'react-router'
import type { Feature } from '../../broker/domain/words.ts'
import { type Answer, type BodyInput, call } from '../shared/api.ts'
import { DecisionLines } from '../shared/decision-lines.tsx'
import {
  Empty,
  ErrorNote,
  fieldError,
  Note,
  Page,
  Shown,
  Status,
  Waiting,
  When,
  Window,
} from '../shared/kit.tsx'
import { useNow } from '../shared/now.ts'
import { useAct, useRead } from '../shared/query.ts'
import type { Request } from '../shared/session-status.tsx'
import { city, fromWall, ms, toWall, viewerZone, windowTimes } from '../shared/time.ts'
import { WindowBar } from '../shared/window-bar.tsx'
import {
  ALL_FEATURES,
  assetType,
  CRITICALITY,
  ENDING,
  FEATURE,
  PROTOCOL,
  TICKET_STATE,
  TICKET_SYSTEM,
  ticketSystem,
} from '../shared/words.ts'
import { proposeWindow } from './propose-window.ts'
import './new-request.css'

type Target = Answer<'GET /api/my/endpoints'>[number]
type Ticket = Answer<'POST /api/tickets/lookup'>

/** One page, not a wizard. On `/requests/:id/edit` it is filled in with what was asked before. */
export function Component() {
  const { id } = useParams()
  const targets = useRead('GET /api/my/endpoints', {})
  const former = useRead('GET /api/requests/:id', { params: { id: id ?? '' } }, { enabled: id !== undefined })
  return (
    <Page
      title={id ? 'Edit request' : 'New request'}
      lead={id ? 'A new version. Approvals that it already has stop counting.' : undefined}
      wide
    >
      <Shown of={targets}>
        {(list) =>
          list.length === 0 ? (
            <Empty title="There is no asset that you may ask for">
              The site has to give your company an asset first. Talk to your contact there.
            </Empty>
          ) : id ? (
            <Shown of={former}>{(request) => <RequestForm targets={list} former={request} />}</Shown>
          ) : (
            <RequestForm targets={list} former={null} />
          )
        }
      </Shown>
    </Page>
  )
}

function RequestForm({ targets, former }: { targets: Target[]; former: Request | null }) {
  const navigate = useNavigate()
  const now = useNow(30_000)
  const [target, setTarget] = useState<Target | null>(
    () =>
      targets.find((entry) => entry.endpointId === former?.endpoint.id) ??
      (targets.length === 1 ? (targets[0] ?? null) : null),
  )
  const [account, setAccount] = useState(former?.account ?? target?.accounts[0] ?? '')
  const [ticket, setTicket] = useState<Ticket | null>(former?.ticket ?? null)
  const [window, setWindow] = useState<{ from: number; to: number } | null>(
    former ? { from: ms(former.window.opensAt), to: ms(former.window.closesAt) } : null,
  )
  const [purpose, setPurpose] = useState(former?.purpose ?? '')
  const [features, setFeatures] = useState<Feature[]>(former?.features ?? [])

  const choose = (next: Target | null) => {
    setTarget(next)
    setAccount(next?.accounts[0] ?? '')
    setTicket(null)
    setWindow(null)
  }
  const takeTicket = (next: Ticket | null) => {
    setTicket(next)
    if (next) setWindow((kept) => proposeWindow(next, kept, Date.now()))
  }

  const draft: BodyInput<'POST /api/requests/preview'> = {
    ...(target ? { endpointId: target.endpointId } : {}),
    ...(account ? { account } : {}),
    ...(purpose.trim().length >= 5 ? { purpose: purpose.trim() } : {}),
    ...(ticket ? { ticket: { system: ticket.system, key: ticket.key } } : {}),
    ...(window
      ? {
          window: {
            opensAt: new Date(window.from).toISOString(),
            closesAt: new Date(window.to).toISOString(),
          },
        }
      : {}),
    features,
  }
  const [asked] = useDebouncedValue(draft, 350)
  const preview = useQuery({
    queryKey: ['preview', asked],
    queryFn: ({ signal }) => call('POST /api/requests/preview', { body: asked }, signal),
    placeholderData: (kept) => kept,
  })
  const done = (request: Request) => navigate(`/requests/${request.id}`)
  const ask = useAct('POST /api/requests', done)
  const edit = useAct('PUT /api/requests/:id', done)
  const error = ask.error ?? edit.error
  const missing = [
    target ? null : 'an asset',
    ticket ? null : 'a change ticket',
    window ? null : 'a window',
    purpose.trim().length >= 5 ? null : 'a purpose',
  ].filter((part) => part !== null)

  const send = () => {
    if (!target || !ticket || !window || missing.length > 0) return
    const body = {
      endpointId: target.endpointId,
      account,
      features,
      purpose: purpose.trim(),
      ticket: { system: ticket.system, key: ticket.key },
      window: { opensAt: new Date(window.from).toISOString(), closesAt: new Date(window.to).toISOString() },
    }
    if (former) edit.mutate({ params: { id: former.id }, body })
    else ask.mutate({ body })
  }

  return (
    <div className="columns">
      <form
        className="form"
        onSubmit={(event) => {
          event.preventDefault()
          send()
        }}
      >
        <AssetPicker
          targets={targets}
          chosen={target}
          choose={choose}
          error={fieldError(error, 'endpointId')}
        />
        {target ? (
          <>
            {target.accounts.length > 1 ? (
              <NativeSelect
                label="Account on the asset"
                description="Its password or key is put in by the gateway; you never see it."
                value={account}
                onChange={(event) => setAccount(event.currentTarget.value)}
                data={target.accounts}
                error={fieldError(error, 'account')}
              />
            ) : null}
            <TicketPicker
              key={target.endpointId}
              target={target}
              ticket={ticket}
              take={takeTicket}
              error={fieldError(error, 'ticket')}
            />
          </>
        ) : null}
        {target && ticket ? (
          <WindowPicker
            zone={target.asset.site.timeZone}
            ticket={ticket}
            window={window}
            set={setWindow}
            now={now}
            error={fieldError(error, 'window')}
          />
        ) : null}
        <Textarea
          label="Purpose"
          description="What you will do and why, in a sentence that a plant manager understands."
          placeholder="Replace the spindle drive's firmware after the vibration alarms of last week"
          autosize
          minRows={2}
          maxLength={500}
          value={purpose}
          onChange={(event) => setPurpose(event.currentTarget.value)}
          error={fieldError(error, 'purpose')}
        />
        <fieldset>
          <legend>Beyond seeing and typing</legend>
          <div className="stack-tight">
            {ALL_FEATURES.map((feature) => (
              <Checkbox
                key={feature}
                label={FEATURE[feature]}
                checked={features.includes(feature)}
                onChange={(event) =>
                  setFeatures(
                    event.currentTarget.checked
                      ? [...features, feature]
                      : features.filter((other) => other !== feature),
                  )
                }
              />
            ))}
          </div>
          <p className="dim small">
            Ask only for what the work needs: the approver sees it, and can take it away.
          </p>
        </fieldset>
        {error ? <ErrorNote error={error} /> : null}
        <div className="row">
          <Button
            type="submit"
            size="md"
            disabled={missing.length > 0}
            loading={ask.isPending || edit.isPending}
          >
            {former ? 'Send new version' : 'Ask for access'}
          </Button>
          {missing.length > 0 ? <span className="dim">Still needs {listing(missing)}.</span> : null}
        </div>
      </form>
      <aside className="panel stack request-aside" aria-label="What the policy says" aria-live="polite">
        <h2>{preview.data?.permitted ? 'Everything holds' : 'What the policy says'}</h2>
        {preview.error && !preview.data ? (
          <ErrorNote error={preview.error} again={() => void preview.refetch()} />
        ) : preview.data ? (
          <>
            <DecisionLines decision={preview.data} />
            {preview.data.lines.length === 0 ? (
              <p className="dim">
                Choose an asset: what holds and what is missing then stands here, while you fill in.
              </p>
            ) : null}
          </>
        ) : (
          <Waiting rows={4} height={22} />
        )}
        {target ? <p className="dim small">{ENDING[target.ending.mode]}.</p> : null}
      </aside>
    </div>
  )
}

function listing(parts: string[]): string {
  return parts.length < 2 ? parts.join('') : `${parts.slice(0, -1).join(', ')} and ${parts.at(-1)}`
}

function AssetPicker(props: {
  targets: Target[]
  chosen: Target | null
  choose: (target: Target | null) => void
  error: string | undefined
}) {
  const [text, setText] = useState('')
  if (props.chosen) {
    const { asset, protocol } = props.chosen
    return (
      <fieldset>
        <legend>Asset</legend>
        <div className="panel panel-tight row row-between">
          <div>
            <p className="list-title">{asset.name}</p>
            <p className="dim">
              {assetType(asset.type)} · {asset.site.name}, {asset.zone} · {CRITICALITY[asset.criticality]} ·{' '}
              {PROTOCOL[protocol]}
            </p>
          </div>
          {props.targets.length > 1 ? (
            <Button variant="default" onClick={() => props.choose(null)}>
              Another asset
            </Button>
          ) : null}
        </div>
        {props.error ? <p className="field-error">{props.error}</p> : null}
      </fieldset>
    )
  }
  const words = text.toLowerCase().split(/\s+/).filter(Boolean)
  const found = props.targets.filter(({ asset }) => {
    const all =
      `${asset.name} ${asset.description} ${asset.type} ${asset.site.name} ${asset.zone}`.toLowerCase()
    return words.every((word) => all.includes(word))
  })
  return (
    <fieldset>
      <legend>Asset</legend>
      <TextInput
        aria-label="Search assets"
        placeholder="Search by name, cell, site or type"
        leftSection={<IconSearch size={16} aria-hidden />}
        value={text}
        onChange={(event) => setText(event.currentTarget.value)}
      />
      <div className="asset-choices">
        {found.slice(0, 8).map((entry) => (
          <button
            key={entry.endpointId}
            type="button"
            className="ticket-choice"
            onClick={() => props.choose(entry)}
          >
            <span className="list-title">{entry.asset.name}</span>
            <span className="dim">
              {assetType(entry.asset.type)} · {entry.asset.site.name}, {entry.asset.zone}
            </span>
            <span className="dim">{entry.asset.description}</span>
          </button>
        ))}
        {found.length === 0 ? <p className="dim">No asset of yours matches "{text}".</p> : null}
        {found.length > 8 ? <p className="dim">{found.length - 8} more: type another word.</p> : null}
      </div>
    </fieldset>
  )
}

function TicketPicker(props: {
  target: Target
  ticket: Ticket | null
  take: (ticket: Ticket | null) => void
  error: string | undefined
}) {
  const { target, ticket, take } = props
  const [key, setKey] = useState('')
  const known = useRead('GET /api/my/tickets', { query: { endpointId: target.endpointId } })
  const lookup = useAct('POST /api/tickets/lookup', take)
  const zone = target.asset.site.timeZone
  const offered = useRef(false)
  const only = known.data?.length === 1 ? known.data[0] : undefined
  // The usual case: one planned change names this asset. It is filled in, and can be changed.
  useEffect(() => {
    if (ticket || !only || offered.current) return
    offered.current = true
    take(only)
  }, [only, ticket, take])
  if (ticket)
    return (
      <fieldset>
        <legend>Change ticket</legend>
        <div className="panel panel-tight stack-tight">
          <div className="row row-between">
            <span className="list-title">
              {ticket.key}: {ticket.title}
            </span>
            <Status
              tone={ticket.state === 'approved' ? 'normal' : 'attention'}
              word={TICKET_STATE[ticket.state]}
            />
          </div>
          {ticket.plannedStart && ticket.plannedEnd ? (
            <span>
              Planned <Window opensAt={ticket.plannedStart} closesAt={ticket.plannedEnd} zone={zone} />
            </span>
          ) : (
            <span>The ticket has no planned time yet.</span>
          )}
          <div className="row row-between">
            <span className="dim">
              {ticketSystem(ticket.system)}, read <When at={ticket.fetchedAt} zone={zone} short />
            </span>
            <Button variant="subtle" size="xs" onClick={() => take(null)}>
              Another ticket
            </Button>
          </div>
        </div>
        {props.error ? <p className="field-error">{props.error}</p> : null}
      </fieldset>
    )
  return (
    <fieldset>
      <legend>Change ticket</legend>
      <div className="stack">
        {known.data && known.data.length > 0 ? (
          <ul className="list">
            {known.data.map((entry) => (
              <li key={entry.key}>
                <button type="button" className="ticket-choice" onClick={() => take(entry)}>
                  <span className="list-title">
                    {entry.key}: {entry.title}
                  </span>
                  <span className="dim">
                    {TICKET_STATE[entry.state]}
                    {entry.plannedStart && entry.plannedEnd
                      ? `, ${windowTimes(entry.plannedStart, entry.plannedEnd, zone).plant}`
                      : ''}
                  </span>
                </button>
              </li>
            ))}
          </ul>
        ) : null}
        <div className="row">
          <TextInput
            className="grow"
            aria-label="Ticket number"
            placeholder="Ticket number, for example CHG0031877"
            value={key}
            onChange={(event) => setKey(event.currentTarget.value)}
            error={fieldError(lookup.error, 'key')}
            onKeyDown={(event) => {
              if (event.key === 'Enter') {
                event.preventDefault()
                if (key.trim())
                  lookup.mutate({
                    body: { siteId: target.asset.site.id, system: TICKET_SYSTEM, key: key.trim() },
                  })
              }
            }}
          />
          <Button
            variant="default"
            disabled={!key.trim()}
            loading={lookup.isPending}
            onClick={() =>
              lookup.mutate({
                body: { siteId: target.asset.site.id, system: TICKET_SYSTEM, key: key.trim() },
              })
            }
          >
            Look up
          </Button>
        </div>
        {known.data?.length === 0 ? (
          <p className="dim">
            No planned change names this asset. The site's change process comes first: ask the owner of the
            change for its number.
          </p>
        ) : null}
        {lookup.error ? <ErrorNote error={lookup.error} /> : null}
      </div>
    </fieldset>
  )
}

function WindowPicker(props: {
  zone: string
  ticket: Ticket
  window: { from: number; to: number } | null
  set: (window: { from: number; to: number }) => void
  now: number
  error: string | undefined
}) {
  const { zone, ticket, window, set } = props
  const planned =
    ticket.plannedStart && ticket.plannedEnd ? { from: ticket.plannedStart, to: ticket.plannedEnd } : null
  const change = (edge: 'from' | 'to', text: string) => {
    const at = fromWall(text, zone)
    if (at && window) set({ ...window, [edge]: ms(at) })
  }
  const problem = windowProblem(window, planned)
  return (
    <fieldset>
      <legend>Window</legend>
      {planned === null ? (
        <Note tone="attention">Without planned times in the ticket no window can be chosen.</Note>
      ) : (
        <div className="stack">
          <WindowBar zone={zone} planned={planned} window={window} now={props.now} onChange={set} />
          <div className="form-pair">
            <TextInput
              type="datetime-local"
              step={900}
              label={`Opens, plant time (${city(zone)})`}
              value={window ? toWall(window.from, zone) : ''}
              onChange={(event) => change('from', event.currentTarget.value)}
            />
            <TextInput
              type="datetime-local"
              step={900}
              label={`Closes, plant time (${city(zone)})`}
              value={window ? toWall(window.to, zone) : ''}
              onChange={(event) => change('to', event.currentTarget.value)}
              error={problem}
            />
          </div>
          {window && !problem ? (
            <p>
              <Window opensAt={window.from} closesAt={window.to} zone={zone} />
              <span className="sr-only"> ({viewerZone()})</span>
            </p>
          ) : null}
          {props.error ? <p className="field-error">{props.error}</p> : null}
        </div>
      )}
    </fieldset>
  )
}

function windowProblem(
  window: { from: number; to: number } | null,
  planned: { from: string; to: string } | null,
): string | undefined {
  if (!window) return undefined
  if (window.to <= window.from) return 'The window must close after it opens.'
  if (planned && (window.from < ms(planned.from) || window.to > ms(planned.to)))
    return "The window must lie inside the ticket's planned time."
  return undefined
}
