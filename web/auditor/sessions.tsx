import { Button, NativeSelect, TextInput } from '@mantine/core'
import { IconDownload } from '@tabler/icons-react'
import { Link, useOutletContext } from 'react-router'
import type { SessionEnd } from '../../broker/domain/words.ts'
import { addressOf } from '../shared/api.ts'
import { Empty, Instant, Page, Shown, Status, TableFrame } from '../shared/kit.tsx'
import { type Me, useSite } from '../shared/me.ts'
import { Pager } from '../shared/pager.tsx'
import { useRead } from '../shared/query.ts'
import { SessionStatus } from '../shared/session-status.tsx'
import { fromWall, length, ms, toWall, viewerZone } from '../shared/time.ts'
import { useFilters } from '../shared/use-filters.ts'
import { ALL_ENDS, SESSION_END } from '../shared/words.ts'

export const RECORDING_WORD = {
  running: 'Recording',
  none: 'None',
  arriving: 'Arriving',
  complete: 'Complete',
  recovered: 'Recovered',
  missing: 'Missing',
} as const

export function RecordingStatus({ recording }: { recording: keyof typeof RECORDING_WORD }) {
  const tone =
    recording === 'missing'
      ? 'alarm'
      : recording === 'recovered'
        ? 'attention'
        : recording === 'complete'
          ? 'normal'
          : 'quiet'
  return <Status tone={tone} word={RECORDING_WORD[recording]} />
}

export function Component() {
  const me = useOutletContext<Me>()
  const { chosen, clock } = useSite(me)
  const zone = clock?.timeZone ?? viewerZone()
  const filters = useFilters()
  const end = filters.get('end')
  const query = {
    ...(chosen ? { siteId: chosen.id } : {}),
    ...(filters.get('search') ? { search: filters.get('search') } : {}),
    ...(filters.get('ticket') ? { ticket: filters.get('ticket') } : {}),
    ...(end && end in SESSION_END ? { end: end as SessionEnd } : {}),
    ...(filters.get('from') ? { from: filters.get('from') } : {}),
    ...(filters.get('to') ? { to: filters.get('to') } : {}),
  }
  const cursor = filters.get('cursor')
  const sessions = useRead(
    'GET /api/sessions',
    { query: { ...query, limit: 50, ...(cursor ? { cursor } : {}) } },
    { keep: true, live: true },
  )
  return (
    <Page
      title="Sessions"
      actions={
        <Button
          component="a"
          href={addressOf('GET /api/sessions.csv', { query })}
          download="sessions.csv"
          variant="default"
          leftSection={<IconDownload size={17} aria-hidden />}
        >
          CSV
        </Button>
      }
      wide
    >
      <div className="filters">
        <TextInput
          label="Search"
          placeholder="Person, asset, purpose"
          defaultValue={filters.get('search')}
          onChange={(event) => filters.setLater('search', event.currentTarget.value)}
        />
        <TextInput
          label="Ticket"
          defaultValue={filters.get('ticket')}
          onChange={(event) => filters.setLater('ticket', event.currentTarget.value)}
        />
        <NativeSelect
          label="Ended"
          value={end}
          onChange={(event) => filters.set('end', event.currentTarget.value)}
          data={[
            { value: '', label: 'Any way' },
            ...ALL_ENDS.map((value) => ({ value, label: SESSION_END[value] })),
          ]}
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
      <Shown of={sessions}>
        {({ items, next }) =>
          items.length === 0 ? (
            <Empty title={filters.any ? 'No session matches' : 'No session yet'}>
              {filters.any
                ? 'Take a filter away, or choose another time.'
                : 'Every session stands here from its first second, with its recording.'}
            </Empty>
          ) : (
            <>
              <TableFrame
                label="Sessions"
                columns={['Started', 'Asset', 'Person', 'Ticket', 'Length', 'Ended', 'Recording']}
                actions="Play"
              >
                <tbody>
                  {items.map((session) => (
                    <tr key={session.id}>
                      <td>
                        {session.startedAt ? (
                          <Instant at={session.startedAt} zone={session.asset.site.timeZone} />
                        ) : (
                          <span className="dim">never</span>
                        )}
                      </td>
                      <td>
                        <Link to={`/sessions/${session.id}`}>{session.asset.name}</Link>
                        <div className="dim">{session.asset.site.name}</div>
                      </td>
                      <td>
                        {session.person.name}
                        <div className="dim">{session.person.company}</div>
                      </td>
                      <td className="mono">{session.ticketKey}</td>
                      <td className="num-cell">
                        {session.startedAt && session.endedAt
                          ? length(ms(session.endedAt) - ms(session.startedAt))
                          : '—'}
                      </td>
                      <td>
                        <SessionStatus session={session} />
                      </td>
                      <td>
                        <RecordingStatus recording={session.recording} />
                      </td>
                      <td>
                        {['missing', 'running', 'none'].includes(session.recording) ? null : (
                          <Link to={`/recordings/${session.recordingId}`}>
                            Play<span className="sr-only"> the recording on {session.asset.name}</span>
                          </Link>
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
