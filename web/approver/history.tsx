import { NativeSelect } from '@mantine/core'
import { Link, useOutletContext, useSearchParams } from 'react-router'
import type { RequestState } from '../../broker/domain/words.ts'
import { Empty, Page, Shown, TableFrame, Window } from '../shared/kit.tsx'
import { type Me, useSite } from '../shared/me.ts'
import { Pager } from '../shared/pager.tsx'
import { useRead } from '../shared/query.ts'
import { RequestStatus } from '../shared/session-status.tsx'
import { REQUEST_STATE } from '../shared/words.ts'

export function Component() {
  const me = useOutletContext<Me>()
  const { chosen } = useSite(me)
  const [search, setSearch] = useSearchParams()
  const state = search.get('state')
  const cursor = search.get('cursor')
  const requests = useRead(
    'GET /api/requests',
    {
      query: {
        view: 'all',
        limit: 50,
        ...(chosen ? { siteId: chosen.id } : {}),
        ...(state && state in REQUEST_STATE ? { state: state as RequestState } : {}),
        ...(cursor ? { cursor } : {}),
      },
    },
    { live: true, keep: true },
  )
  return (
    <Page title="History" lead="Every request of your sites, with who decided what." wide>
      <div className="filters">
        <NativeSelect
          label="State"
          value={state ?? ''}
          onChange={(event) =>
            setSearch(event.currentTarget.value ? { state: event.currentTarget.value } : {})
          }
          data={[
            { value: '', label: 'All' },
            ...Object.entries(REQUEST_STATE).map(([value, label]) => ({ value, label })),
          ]}
        />
      </div>
      <Shown of={requests}>
        {({ items, next }) =>
          items.length === 0 ? (
            <Empty title="No request yet">
              Requests stand here from the moment they are made, whatever becomes of them.
            </Empty>
          ) : (
            <>
              <TableFrame
                label="Requests"
                columns={['Asset', 'Who', 'Window', 'Ticket', 'State', 'Decided by']}
              >
                <tbody>
                  {items.map((request) => (
                    <tr key={request.id}>
                      <td>
                        <Link to={`/decide/${request.id}`}>{request.asset.name}</Link>
                        <div className="dim">{request.purpose}</div>
                      </td>
                      <td>
                        {request.requester.name}
                        <div className="dim">{request.requester.company}</div>
                      </td>
                      <td>
                        <Window
                          opensAt={request.window.opensAt}
                          closesAt={request.window.closesAt}
                          zone={request.asset.site.timeZone}
                        />
                      </td>
                      <td className="mono">{request.ticket.key}</td>
                      <td>
                        <RequestStatus request={request} />
                      </td>
                      <td>
                        {request.approvals.map((approval) => approval.by.name).join(', ') || (
                          <span className="dim">nobody yet</span>
                        )}
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
    </Page>
  )
}
