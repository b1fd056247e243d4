import { TextInput } from '@mantine/core'
import { IconSearch } from '@tabler/icons-react'
import { Link, useOutletContext, useSearchParams } from 'react-router'
import { uncovered } from '../shared/exception-form.tsx'
import { Empty, Page, Shown, Status, TableFrame } from '../shared/kit.tsx'
import { type Me, useSite } from '../shared/me.ts'
import { useRead } from '../shared/query.ts'
import { assetType, CRITICALITY } from '../shared/words.ts'

/** What can be reached at all, and who is there. */
export function Component() {
  const me = useOutletContext<Me>()
  const { chosen } = useSite(me)
  const [search, setSearch] = useSearchParams()
  const text = search.get('q') ?? ''
  const assets = useRead('GET /api/assets', {})
  const inside = useRead('GET /api/sessions', { query: { live: 'true', limit: 200 } }, { live: true })
  return (
    <Page title="Assets" lead="Machines that vendors can ask for at your sites." wide>
      <div className="filters">
        <TextInput
          label="Search"
          placeholder="Name, zone, owner"
          leftSection={<IconSearch size={16} aria-hidden />}
          value={text}
          onChange={(event) =>
            setSearch(event.currentTarget.value ? { q: event.currentTarget.value } : {}, { replace: true })
          }
        />
      </div>
      <Shown of={assets}>
        {(list) => {
          const shown = list.filter(
            (asset) =>
              (!chosen || asset.site.id === chosen.id) &&
              `${asset.name} ${asset.zone.name} ${asset.owner} ${asset.description}`
                .toLowerCase()
                .includes(text.toLowerCase()),
          )
          return shown.length === 0 ? (
            <Empty title={text ? `No asset matches "${text}"` : 'No asset yet'}>
              An administrator adds assets, with their zone, criticality and address.
            </Empty>
          ) : (
            <TableFrame label="Assets" columns={['Asset', 'Zone', 'Criticality', 'Owner', 'Now']}>
              <tbody>
                {shown.map((asset) => {
                  const session = inside.data?.items.find((item) => item.asset.id === asset.id)
                  return (
                    <tr key={asset.id}>
                      <td>
                        <strong>{asset.name}</strong>
                        <div className="dim">
                          {assetType(asset.type)}. {asset.description}
                        </div>
                      </td>
                      <td>
                        {asset.site.name}
                        <div className="dim">{asset.zone.name}</div>
                      </td>
                      <td className="num-cell">{CRITICALITY[asset.criticality]}</td>
                      <td>{asset.owner}</td>
                      <td>
                        {!asset.enabled ? (
                          <Status tone="quiet" word="Disabled" />
                        ) : asset.endpoints.some((endpoint) => endpoint.identity.state === 'changed') ? (
                          <Status tone="alarm" word="Identity changed" />
                        ) : session ? (
                          <Status tone="normal" word={`${session.person.name} is inside`} />
                        ) : asset.endpoints.some((endpoint) => uncovered(endpoint).length > 0) ? (
                          <>
                            <Status tone="attention" word="Exception missing" />{' '}
                            <Link to="/exceptions">Exceptions</Link>
                          </>
                        ) : asset.incomplete.length > 0 ? (
                          <Status tone="quiet" word="Not complete" />
                        ) : (
                          <span className="dim">Nobody inside</span>
                        )}
                      </td>
                    </tr>
                  )
                })}
              </tbody>
            </TableFrame>
          )
        }}
      </Shown>
    </Page>
  )
}
