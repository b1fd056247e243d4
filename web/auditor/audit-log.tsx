import { Button, NativeSelect, TextInput } from '@mantine/core'
import { IconDownload } from '@tabler/icons-react'
import { useOutletContext } from 'react-router'
import { addressOf } from '../shared/api.ts'
import { Empty, Page, Shown } from '../shared/kit.tsx'
import { type Me, useSite } from '../shared/me.ts'
import { Pager } from '../shared/pager.tsx'
import { useRead } from '../shared/query.ts'
import { fromWall, toWall, viewerZone } from '../shared/time.ts'
import { useFilters } from '../shared/use-filters.ts'
import { AuditTable } from './audit-table.tsx'

const RESULTS = ['ok', 'denied', 'failed'] as const

export function Component() {
  const me = useOutletContext<Me>()
  const { clock } = useSite(me)
  const zone = clock?.timeZone ?? viewerZone()
  const filters = useFilters()
  const result = RESULTS.find((one) => one === filters.get('result'))
  const query = {
    ...(filters.get('actor') ? { actor: filters.get('actor') } : {}),
    ...(filters.get('action') ? { action: filters.get('action') } : {}),
    ...(filters.get('session') ? { session: filters.get('session') } : {}),
    ...(filters.get('request') ? { request: filters.get('request') } : {}),
    ...(filters.get('from') ? { from: filters.get('from') } : {}),
    ...(filters.get('to') ? { to: filters.get('to') } : {}),
    ...(result ? { result } : {}),
  }
  const cursor = filters.get('cursor')
  const entries = useRead(
    'GET /api/audit',
    { query: { ...query, limit: 100, ...(cursor ? { cursor } : {}) } },
    { keep: true },
  )
  return (
    <Page
      title="Audit log"
      lead="Only added to, never changed. Reading it is itself an entry."
      actions={
        <>
          <Button variant="default" onClick={() => void entries.refetch()}>
            Read again
          </Button>
          <Button
            component="a"
            href="/api/audit/checkpoint"
            download="checkpoint.txt"
            variant="default"
            leftSection={<IconDownload size={17} aria-hidden />}
          >
            Checkpoint
          </Button>
          <Button
            component="a"
            href={addressOf('GET /api/audit.csv', { query })}
            download="audit.csv"
            variant="default"
            leftSection={<IconDownload size={17} aria-hidden />}
          >
            CSV
          </Button>
        </>
      }
      wide
    >
      <div className="filters">
        <TextInput
          label="Who"
          defaultValue={filters.get('actor')}
          onChange={(event) => filters.setLater('actor', event.currentTarget.value)}
        />
        <TextInput
          label="Action"
          placeholder="session. or approval.granted"
          defaultValue={filters.get('action')}
          onChange={(event) => filters.setLater('action', event.currentTarget.value)}
        />
        <NativeSelect
          label="Result"
          value={result ?? ''}
          onChange={(event) => filters.set('result', event.currentTarget.value)}
          data={[{ value: '', label: 'Any' }, ...RESULTS.map((value) => ({ value, label: value }))]}
        />
        <TextInput
          type="datetime-local"
          label="From, plant time"
          value={filters.get('from') ? toWall(filters.get('from'), zone) : ''}
          onChange={(event) => filters.set('from', fromWall(event.currentTarget.value, zone) ?? '')}
        />
        <TextInput
          type="datetime-local"
          label="To, plant time"
          value={filters.get('to') ? toWall(filters.get('to'), zone) : ''}
          onChange={(event) => filters.set('to', fromWall(event.currentTarget.value, zone) ?? '')}
        />
      </div>
      <Shown of={entries}>
        {({ items, next }) =>
          items.length === 0 ? (
            <Empty title={filters.any ? 'No entry matches' : 'No entry yet'}>
              An action may be given by its beginning: "session." finds all that happened to sessions.
            </Empty>
          ) : (
            <>
              <AuditTable entries={items} zone={zone} />
              <Pager next={next} />
            </>
          )
        }
      </Shown>
    </Page>
  )
}
