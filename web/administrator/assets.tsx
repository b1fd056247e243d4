import { Button } from '@mantine/core'
import { IconPlus } from '@tabler/icons-react'
import { useState } from 'react'
import { Link, useNavigate, useOutletContext } from 'react-router'
import { Empty, Page, Shown, Status, TableFrame } from '../shared/kit.tsx'
import { type Me, useSite } from '../shared/me.ts'
import { useRead } from '../shared/query.ts'
import { assetType, CRITICALITY } from '../shared/words.ts'
import { AssetForm } from './asset-form.tsx'

export function Component() {
  const me = useOutletContext<Me>()
  const { chosen } = useSite(me)
  const navigate = useNavigate()
  const assets = useRead('GET /api/assets', {})
  const [adding, setAdding] = useState(false)
  return (
    <Page
      title="Assets"
      lead="Targets with their zone, endpoints and credentials. An asset can be asked for once nothing is missing."
      actions={
        <>
          <Button component={Link} to="/exceptions" variant="default">
            Exceptions
          </Button>
          <Button leftSection={<IconPlus size={17} aria-hidden />} onClick={() => setAdding(true)}>
            Add asset
          </Button>
        </>
      }
      wide
    >
      <Shown of={assets}>
        {(all) => {
          const list = all.filter((asset) => !chosen || asset.site.id === chosen.id)
          return list.length === 0 ? (
            <Empty title="No asset yet">
              Add a site and a zone first; then the asset, its endpoint and its credential.
            </Empty>
          ) : (
            <TableFrame
              label="Assets"
              columns={['Asset', 'Zone', 'Criticality', 'Address', 'Gateway', 'State']}
            >
              <tbody>
                {list.map((asset) => (
                  <tr key={asset.id}>
                    <td>
                      <Link to={`/admin/assets/${asset.id}`}>{asset.name}</Link>
                      <div className="dim">{assetType(asset.type)}</div>
                    </td>
                    <td>
                      {asset.site.name}
                      <div className="dim">{asset.zone.name}</div>
                    </td>
                    <td className="num-cell">{CRITICALITY[asset.criticality]}</td>
                    <td className="mono">{asset.address ?? ''}</td>
                    <td>{asset.gateway?.name ?? <span className="dim">none</span>}</td>
                    <td>
                      {!asset.enabled ? (
                        <Status tone="quiet" word="Disabled" />
                      ) : asset.endpoints.some((endpoint) => endpoint.identity.state === 'changed') ? (
                        <Status tone="alarm" word="Identity changed" />
                      ) : asset.incomplete.length > 0 ? (
                        <Status tone="attention" word={`Missing: ${asset.incomplete.join(', ')}`} />
                      ) : (
                        <Status tone="normal" word="Complete" />
                      )}
                    </td>
                  </tr>
                ))}
              </tbody>
            </TableFrame>
          )
        }}
      </Shown>
      {adding ? (
        <AssetForm
          asset={null}
          close={() => setAdding(false)}
          done={(asset) => navigate(`/admin/assets/${asset.id}`)}
        />
      ) : null}
    </Page>
  )
}
