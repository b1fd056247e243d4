import { Button } from '@mantine/core'
import { Link, useOutletContext } from 'react-router'
import { Instant, Note, Page, Section, Shown, Status, type Tone, When } from '../shared/kit.tsx'
import { type Me, useSite } from '../shared/me.ts'
import { useRead } from '../shared/query.ts'
import { viewerZone } from '../shared/time.ts'
import './integrity.css'

/** All grey when all is well. */
export function Component() {
  const me = useOutletContext<Me>()
  const { clock } = useSite(me)
  const zone = clock?.timeZone ?? viewerZone()
  const integrity = useRead('GET /api/integrity', {})
  return (
    <Page
      title="Integrity"
      lead="Whether every session has its proof, and the log its checkpoints."
      actions={
        <Button variant="default" onClick={() => void integrity.refetch()} loading={integrity.isFetching}>
          Check again
        </Button>
      }
    >
      <Shown of={integrity}>
        {(data) => (
          <>
            {data.alarms.map((alarm) => (
              <Note key={alarm.id} tone="alarm">
                <p>
                  <strong>{alarm.message}</strong>
                </p>
                <p>
                  Since <Instant at={alarm.since} zone={zone} />
                </p>
              </Note>
            ))}
            <div className="measures">
              <Measure name="Sessions" value={data.sessions} word="in the log" tone="quiet" />
              <Measure
                name="Recordings complete"
                value={data.complete}
                word="Signed and received"
                tone="normal"
              />
              <Measure
                name="Recovered"
                value={data.recovered}
                word={data.recovered > 0 ? 'Cut off, verified up to there' : 'None was cut off'}
                tone={data.recovered > 0 ? 'attention' : 'normal'}
              />
              <Measure
                name="Arriving"
                value={data.arriving}
                word={data.arriving > 0 ? 'On their way from gateways' : 'Nothing under way'}
                tone="quiet"
              />
              <Measure
                name="Missing"
                value={data.missing.length}
                word={data.missing.length > 0 ? 'Sessions without a recording' : 'Every session has one'}
                tone={data.missing.length > 0 ? 'alarm' : 'normal'}
              />
              <Measure
                name="Gaps"
                value={data.gaps.length}
                word={data.gaps.length > 0 ? 'Declared and signed' : 'None declared'}
                tone={data.gaps.length > 0 ? 'attention' : 'normal'}
              />
            </div>
            <div className="columns-even">
              <Section title="Audit log">
                <div className="panel stack-tight">
                  <p>
                    Checkpoint over{' '}
                    <strong className="num">{data.checkpoint.size.toLocaleString('en-GB')}</strong> entries
                  </p>
                  {data.checkpoint.at ? (
                    <When at={data.checkpoint.at} zone={zone} />
                  ) : (
                    <Status tone="attention" word="No checkpoint yet" />
                  )}
                </div>
              </Section>
              <Section title="Witness">
                <div className="panel stack-tight">
                  <Status
                    tone={
                      data.witness.state === 'ok'
                        ? 'normal'
                        : data.witness.state === 'late'
                          ? 'alarm'
                          : 'quiet'
                    }
                    word={{ ok: 'Cosigns', late: 'Late', absent: 'None set up' }[data.witness.state]}
                  />
                  <p className="dim">{data.witness.detail}</p>
                </div>
              </Section>
            </div>
            {data.missing.length > 0 ? (
              <Section title="Sessions without a recording">
                <ul className="list">
                  {data.missing.map((missing) => (
                    <li key={missing.sessionId} className="list-row">
                      <Link to={`/sessions/${missing.sessionId}`} className="mono">
                        {missing.sessionId}
                      </Link>
                      {missing.endedAt ? (
                        <span className="dim">
                          ended <When at={missing.endedAt} zone={zone} />
                        </span>
                      ) : null}
                    </li>
                  ))}
                </ul>
              </Section>
            ) : null}
            {data.gaps.length > 0 ? (
              <Section title="Gaps">
                <ul className="list">
                  {data.gaps.map((gap) => (
                    <li key={`${gap.recordingId}${gap.stream}${gap.reason}`} className="list-row">
                      <Link to={`/recordings/${gap.recordingId}`}>
                        {gap.stream === 'screen' ? 'Screen' : 'Input'}: {gap.reason}
                      </Link>
                    </li>
                  ))}
                </ul>
              </Section>
            ) : null}
            <p className="dim">
              Last self-check:{' '}
              {data.lastSelfCheckAt ? (
                <When at={data.lastSelfCheckAt} zone={zone} />
              ) : (
                'not yet since the start'
              )}
            </p>
          </>
        )}
      </Shown>
    </Page>
  )
}

function Measure(props: { name: string; value: number; word: string; tone: Tone }) {
  return (
    <div className="measure panel panel-tight">
      <span className="dim">{props.name}</span>
      <strong className="num">{props.value.toLocaleString('en-GB')}</strong>
      <Status tone={props.tone} word={props.word} />
    </div>
  )
}
