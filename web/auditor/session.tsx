import { Button } from '@mantine/core'
import { IconPlayerPlayFilled } from '@tabler/icons-react'
import { Link, useOutletContext, useParams } from 'react-router'
import { Fact, Facts, Instant, Page, Section, Shown } from '../shared/kit.tsx'
import { hasRole, type Me } from '../shared/me.ts'
import { useRead } from '../shared/query.ts'
import { type Session, SessionStatus } from '../shared/session-status.tsx'
import { shortTime } from '../shared/time.ts'
import { CRITICALITY, FEATURE_SHORT, PROTOCOL } from '../shared/words.ts'
import { AuditTable } from './audit-table.tsx'
import { RecordingStatus } from './sessions.tsx'

export function Component() {
  const { id = '' } = useParams()
  const session = useRead('GET /api/sessions/:id', { params: { id } }, { live: true })
  return <Shown of={session}>{(data) => <SessionPage session={data} />}</Shown>
}

function SessionPage({ session }: { session: Session }) {
  const me = useOutletContext<Me>()
  const auditor = hasRole(me, 'auditor')
  const zone = session.asset.site.timeZone
  return (
    <Page
      title={`${session.asset.name}, ${session.person.name}`}
      lead={`${session.ticketKey}: ${session.purpose}`}
      actions={
        auditor && !['missing', 'running', 'none'].includes(session.recording) ? (
          <Button
            component={Link}
            to={`/recordings/${session.recordingId}`}
            leftSection={<IconPlayerPlayFilled size={16} aria-hidden />}
          >
            Play recording
          </Button>
        ) : null
      }
    >
      <div className="panel">
        <Facts>
          <Fact name="State">
            <SessionStatus session={session} />
          </Fact>
          <Fact name="Recording">
            <RecordingStatus recording={session.recording} />
          </Fact>
          <Fact name="Where">
            {session.asset.site.name}, {session.asset.zone}, {CRITICALITY[session.asset.criticality]}
          </Fact>
          <Fact name="How">
            {PROTOCOL[session.protocol]} as <span className="mono">{session.account}</span>
            {session.features.length > 0
              ? `, clipboard: ${session.features.map((feature) => FEATURE_SHORT[feature]).join(', ')}`
              : ', no clipboard'}
          </Fact>
          <Fact name="Company">{session.person.company}</Fact>
          {session.startedAt ? (
            <Fact name="Started">
              <Instant at={session.startedAt} zone={zone} />
            </Fact>
          ) : null}
          <Fact name="Permit until">
            <Instant at={session.permitEndsAt} zone={zone} />
          </Fact>
          {session.endedAt ? (
            <Fact name="Ended">
              <Instant at={session.endedAt} zone={zone} />
            </Fact>
          ) : null}
          {session.endMessage ? <Fact name="Why">{session.endMessage}</Fact> : null}
          {session.endedBy ? <Fact name="By">{session.endedBy}</Fact> : null}
          {session.closedAfterMs !== null ? (
            <Fact name="Closed after">{shortTime(session.closedAfterMs)}</Fact>
          ) : null}
          <Fact name="Changed">{session.closingNote ?? <span className="dim">Nothing handed in</span>}</Fact>
          <Fact name="Session">
            <span className="mono small">{session.id}</span>
          </Fact>
        </Facts>
      </div>
      {auditor ? (
        <Section title="What the log says">
          <Log id={session.id} zone={zone} />
        </Section>
      ) : null}
    </Page>
  )
}

function Log({ id, zone }: { id: string; zone: string }) {
  const entries = useRead('GET /api/audit', { query: { session: id, limit: 200 } })
  return <Shown of={entries}>{(data) => <AuditTable entries={data.items} zone={zone} />}</Shown>
}
