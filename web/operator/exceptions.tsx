import { Button, NativeSelect } from '@mantine/core'
import { IconPlus } from '@tabler/icons-react'
import { useState } from 'react'
import { Link, useOutletContext } from 'react-router'
import type { Answer } from '../shared/api.ts'
import { deviating, ExceptionForm, uncovered } from '../shared/exception-form.tsx'
import { FormDialog, ReasonField } from '../shared/forms.tsx'
import { Empty, Note, Page, Shown, Status, TableFrame, When } from '../shared/kit.tsx'
import { hasRole, type Me, useSite } from '../shared/me.ts'
import { useNow } from '../shared/now.ts'
import { Pager } from '../shared/pager.tsx'
import { useAct, useRead } from '../shared/query.ts'
import { ms } from '../shared/time.ts'
import { useFilters } from '../shared/use-filters.ts'
import { DEVIATION, PROTOCOL } from '../shared/words.ts'

type Exception = Answer<'GET /api/exceptions'>['items'][number]

const STATES = {
  open: 'Open',
  expiring: 'Over within 30 days',
  expired: 'Expired',
  closed: 'Closed',
  all: 'All',
} as const
const NONE: Record<keyof typeof STATES, [title: string, teaches: string]> = {
  open: ['No exception is open', 'Every endpoint that can be used has all that it should have.'],
  expiring: ['None is over within 30 days', 'Those that will be stand here, the earliest first.'],
  expired: [
    'None has expired',
    'An expired exception opens nothing. It stands here until somebody closes it.',
  ],
  closed: ['None has been closed', 'What was closed stays on record here, with who closed it and why.'],
  all: [
    'No exception yet',
    'An asset without encryption, identity or password can be reached only under one: with a reason, a compensating control, an owner and an end.',
  ],
}
const SOON_MS = 30 * 86_400_000

/** The register of recorded deviations: what is accepted, why, against what, by whom, until when. */
export function Component() {
  const me = useOutletContext<Me>()
  const { chosen } = useSite(me)
  const filters = useFilters()
  const wanted = filters.get('state')
  const state = wanted in STATES ? (wanted as keyof typeof STATES) : 'open'
  const cursor = filters.get('cursor')
  const exceptions = useRead(
    'GET /api/exceptions',
    {
      query: {
        ...(chosen ? { siteId: chosen.id } : {}),
        ...(state === 'all' ? {} : { state }),
        ...(cursor ? { cursor } : {}),
        limit: 50,
      },
    },
    { keep: true, live: true },
  )
  const assets = useRead('GET /api/assets', {}, { live: true })
  const [opening, setOpening] = useState(false)
  const [closing, setClosing] = useState<Exception | null>(null)
  const keeper = (siteId: string) =>
    me.roles.some(
      (held) =>
        (held.role === 'operator' || held.role === 'administrator') &&
        (held.site === null || held.site.id === siteId),
    )
  const choices = deviating(assets.data ?? []).filter(
    ({ asset }) => keeper(asset.site.id) && (!chosen || asset.site.id === chosen.id),
  )
  const lacking = choices.filter(({ endpoint }) => uncovered(endpoint).length > 0)
  const keeps = hasRole(me, 'operator') || hasRole(me, 'administrator')
  return (
    <Page
      title="Exceptions"
      lead="What an asset lacks and is used all the same: why, what stands against it, who answers for it, until when."
      actions={
        keeps && choices.length > 0 ? (
          <Button leftSection={<IconPlus size={17} aria-hidden />} onClick={() => setOpening(true)}>
            Open exception
          </Button>
        ) : null
      }
      wide
    >
      {lacking.length > 0 ? (
        <Note tone="attention">
          <p>
            <strong>Nobody can get in without an exception:</strong>{' '}
            {lacking
              .map(
                ({ asset, endpoint }) =>
                  `${asset.name} (${uncovered(endpoint)
                    .map((kind) => DEVIATION[kind].name.toLowerCase())
                    .join(', ')})`,
              )
              .join('; ')}
            .
          </p>
        </Note>
      ) : null}
      <div className="filters">
        <NativeSelect
          label="Show"
          value={state}
          onChange={(event) =>
            filters.set('state', event.currentTarget.value === 'open' ? '' : event.currentTarget.value)
          }
          data={Object.entries(STATES).map(([value, label]) => ({ value, label }))}
        />
      </div>
      <Shown of={exceptions}>
        {({ items, next }) =>
          items.length === 0 ? (
            <Empty title={NONE[state][0]}>{NONE[state][1]}</Empty>
          ) : (
            <>
              <TableFrame
                label="Exceptions"
                columns={['Asset', 'Lacks', 'Why', 'Control', 'Owner', 'Until']}
                actions="Close"
              >
                <tbody>
                  {items.map((item) => (
                    <tr key={item.id}>
                      <td>
                        {hasRole(me, 'administrator') ? (
                          <Link to={`/admin/assets/${item.asset.id}`}>{item.asset.name}</Link>
                        ) : (
                          <strong>{item.asset.name}</strong>
                        )}
                        <div className="dim">
                          {PROTOCOL[item.endpoint.protocol]}, port {item.endpoint.port}
                          {chosen ? '' : ` · ${item.site.name}`}
                        </div>
                      </td>
                      <td>{DEVIATION[item.kind].name}</td>
                      <td>{item.reason}</td>
                      <td>{item.compensatingControl}</td>
                      <td>
                        {item.owner.name}
                        {item.owner.enabled ? null : (
                          <div>
                            <Status tone="attention" word="Has left" />
                          </div>
                        )}
                      </td>
                      <td>
                        <Until exception={item} />
                      </td>
                      <td>
                        {item.state !== 'closed' && keeper(item.site.id) ? (
                          <Button variant="default" size="xs" onClick={() => setClosing(item)}>
                            Close
                          </Button>
                        ) : null}
                      </td>
                    </tr>
                  ))}
                </tbody>
              </TableFrame>
              <Pager next={next} />
            </>
          )
        }
      </Shown>
      {opening ? <ExceptionForm choices={choices} close={() => setOpening(false)} /> : null}
      {closing ? <CloseForm exception={closing} close={() => setClosing(null)} /> : null}
    </Page>
  )
}

function Until({ exception }: { exception: Exception }) {
  const now = useNow(60_000)
  const zone = exception.site.timeZone
  if (!exception.counts)
    return <Status tone="alarm" word="Does not count: the row is not what the audit log says" />
  if (exception.closed)
    return (
      <>
        <Status tone="quiet" word="Closed" />
        <div className="dim">
          <When at={exception.closed.at} zone={zone} short />, {exception.closed.by.name}:{' '}
          {exception.closed.reason}
        </div>
      </>
    )
  const soon = ms(exception.expiresAt) - now < SOON_MS
  return (
    <>
      <Status
        tone={exception.state === 'expired' ? 'attention' : soon ? 'attention' : 'normal'}
        word={exception.state === 'expired' ? 'Expired' : soon ? 'Over soon' : 'Open'}
      />
      <div className="dim">
        <When at={exception.expiresAt} zone={zone} />
      </div>
    </>
  )
}

function CloseForm({ exception, close }: { exception: Exception; close: () => void }) {
  const [reason, setReason] = useState('')
  const end = useAct('POST /api/exceptions/:id/close', close)
  return (
    <FormDialog
      title={`Close the exception for ${exception.asset.name}?`}
      verb="Close exception"
      opened
      close={close}
      busy={end.isPending}
      error={end.error}
      submit={() => end.mutate({ params: { id: exception.id }, body: { reason } })}
      danger
    >
      <p>
        {DEVIATION[exception.kind].name}: nobody gets in over this endpoint until another one is open. A
        session that runs ends by the rule of its asset.
      </p>
      <ReasonField value={reason} set={setReason} />
    </FormDialog>
  )
}
