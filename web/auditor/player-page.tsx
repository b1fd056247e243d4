import { Button, Checkbox, TextInput } from '@mantine/core'
import {
  IconCircleCheck,
  IconCircleX,
  IconDownload,
  IconMinus,
  IconPlayerPauseFilled,
  IconPlayerPlayFilled,
  IconPlayerTrackNextFilled,
  IconPlayerTrackPrevFilled,
  IconPlus,
  IconSearch,
  IconShieldCheck,
} from '@tabler/icons-react'
import { useEffect, useMemo, useRef, useState } from 'react'
import { Link, useParams, useSearchParams } from 'react-router'
import { type Answer, callRaw } from '../shared/api.ts'
import { ErrorNote, Fact, Facts, Instant, Note, Page, Shown, Status } from '../shared/kit.tsx'
import { useAct, useRead } from '../shared/query.ts'
import { clockSeconds, countdown, length, viewerZone } from '../shared/time.ts'
import { CRITICALITY, SESSION_END } from '../shared/words.ts'
import { DesktopDriver } from './desktop-driver.ts'
import { DesktopStage } from './desktop-stage.tsx'
import { PackageDialog } from './package-dialog.tsx'
import { Stage } from './player.tsx'
import { ReplayChannel } from './replay-channel.ts'
import { SegmentDriver } from './segment-driver.ts'
import type { DriverState } from './segment-player.ts'
import { Timeline } from './timeline.tsx'
import './player.css'

type Recording = Answer<'GET /api/recordings/:id'>
type Session = Answer<'GET /api/sessions/:id'>

const SPEEDS = [0.5, 1, 2, 4, 8, 16]

export function Component() {
  const { id = '' } = useParams()
  const recording = useRead('GET /api/recordings/:id', { params: { id } })
  return (
    <Shown of={recording} waiting={<div className="page" aria-busy="true" />}>
      {(data) => <Player recording={data} key={data.id} />}
    </Shown>
  )
}

function Player({ recording }: { recording: Recording }) {
  const session = useRead('GET /api/sessions/:id', { params: { id: recording.sessionId } })
  const [search, setSearch] = useSearchParams()
  // The place in the address is where it begins; afterwards the address follows.
  const [startAt] = useState(() => Number(search.get('t') ?? 0) * 1000)
  const [state, setState] = useState<DriverState | null>(null)
  const [now, setNow] = useState(startAt)
  const [packing, setPacking] = useState(false)
  const searchField = useRef<HTMLInputElement>(null)
  const zone = session.data?.asset.site.timeZone ?? viewerZone()
  const { driver, stage } = useMemo(() => {
    const made = playerOf(recording, setState)
    // A terminal asks for its first picture itself, when asciinema-player is ready.
    if (startAt > 0 || recording.media === 'desktop') void made.driver.seek(startAt)
    return made
  }, [recording, startAt])

  // A player that nobody looks at any more fetches nothing: each segment fetched is an entry in the log.
  useEffect(() => () => void driver.pause(), [driver])
  useEffect(() => {
    const timer = setInterval(() => setNow(driver.timeMs), 100)
    return () => clearInterval(timer)
  }, [driver])
  const seek = (timeMs: number) => {
    void driver.seek(timeMs)
    setNow(timeMs)
  }
  const speed = state?.speed ?? 1
  const changeSpeed = (by: 1 | -1) => {
    const at = SPEEDS.indexOf(speed)
    driver.setSpeed(SPEEDS[Math.min(SPEEDS.length - 1, Math.max(0, at + by))] ?? 1)
  }
  const step = (by: 1 | -1) => void driver.step(by).then(() => setNow(driver.timeMs))
  const toggle = () => void (state?.playing ? driver.pause() : driver.play())

  useEffect(() => {
    // In the capture phase, so that the player's own shortcuts do not answer too.
    const keys = (event: KeyboardEvent) => {
      const target = event.target as HTMLElement
      if (
        target.closest('input, textarea, select, [role="dialog"]') ||
        event.ctrlKey ||
        event.metaKey ||
        event.altKey
      )
        return
      const onButton = target.closest('button, a, summary')
      const jump = event.shiftKey ? 60_000 : 5_000
      const does = new Map<string, () => void>([
        ['ArrowLeft', () => seek(driver.timeMs - jump)],
        ['ArrowRight', () => seek(driver.timeMs + jump)],
        ['.', () => step(1)],
        [',', () => step(-1)],
        ['+', () => changeSpeed(1)],
        ['=', () => changeSpeed(1)],
        ['-', () => changeSpeed(-1)],
        ['/', () => searchField.current?.focus()],
      ])
      // On a button Space presses that button.
      if (!onButton) does.set(' ', toggle)
      const action = does.get(event.key)
      if (!action) return
      event.preventDefault()
      event.stopPropagation()
      action()
    }
    window.addEventListener('keydown', keys, true)
    return () => window.removeEventListener('keydown', keys, true)
  })

  const started = new Date(recording.startedAt).getTime()
  const isDesktop = recording.media === 'desktop'
  return (
    <Page
      title={session.data ? `${session.data.asset.name}, ${session.data.person.name}` : 'Recording'}
      lead={session.data ? `${session.data.ticketKey}: ${session.data.purpose}` : undefined}
      actions={
        <>
          <Button component={Link} to={`/sessions/${recording.sessionId}`} variant="default">
            Session
          </Button>
          <Button leftSection={<IconDownload size={17} aria-hidden />} onClick={() => setPacking(true)}>
            Evidence package
          </Button>
        </>
      }
      wide
    >
      <div className="player">
        <div className="player-main">
          <div className="stage-frame">
            {stage}
            {state?.error ? (
              <div className="stage-error">
                <ErrorNote error={state.error} again={() => seek(now)} />
              </div>
            ) : null}
          </div>
          <Timeline
            recording={recording}
            session={session.data ?? null}
            zone={zone}
            nowMs={now}
            seek={(timeMs) => {
              seek(timeMs)
              setSearch({ t: (timeMs / 1000).toFixed(1) }, { replace: true })
            }}
          />
          <div className="player-controls">
            <Button
              onClick={toggle}
              loading={state?.loading === true && state.playing}
              leftSection={
                state?.playing ? (
                  <IconPlayerPauseFilled size={16} aria-hidden />
                ) : (
                  <IconPlayerPlayFilled size={16} aria-hidden />
                )
              }
            >
              {state?.playing ? 'Pause' : 'Play'}
            </Button>
            <div className="row">
              <Button variant="default" onClick={() => step(-1)} aria-label="Change before">
                <IconPlayerTrackPrevFilled size={16} aria-hidden />
              </Button>
              <Button variant="default" onClick={() => step(1)} aria-label="Next change">
                <IconPlayerTrackNextFilled size={16} aria-hidden />
              </Button>
            </div>
            <span className="num">
              {countdown(now)} / {countdown(recording.durationMs)}
            </span>
            <span className="dim num">{clockSeconds(started + now, zone)} plant time</span>
            <span className="grow" />
            <Checkbox
              label="Skip idle"
              checked={state?.skipsIdle === true}
              onChange={(event) => driver.setSkipsIdle(event.currentTarget.checked)}
            />
            <fieldset className="row" aria-label="Speed">
              <Button variant="default" onClick={() => changeSpeed(-1)} aria-label="Slower">
                <IconMinus size={16} aria-hidden />
              </Button>
              <span className="num speed">{speed}x</span>
              <Button variant="default" onClick={() => changeSpeed(1)} aria-label="Faster">
                <IconPlus size={16} aria-hidden />
              </Button>
            </fieldset>
          </div>
          <p className="dim small player-keys">
            Space plays and pauses, arrows jump 5 s (with Shift a minute), comma and full stop go to the
            change before and the next one, + and - change the speed{isDesktop ? '' : ', / searches'}.
          </p>
        </div>
        <aside className="player-side">
          <Seal recording={recording} zone={zone} />
          {isDesktop ? null : (
            <TextList recording={recording} zone={zone} nowMs={now} seek={seek} field={searchField} />
          )}
        </aside>
      </div>
      {session.data ? <About session={session.data} zone={zone} /> : null}
      <PackageDialog recordingId={recording.id} opened={packing} close={() => setPacking(false)} />
    </Page>
  )
}

/** The driver and the stage of a recording's medium. */
function playerOf(recording: Recording, watch: (state: DriverState) => void) {
  const read = (segment: number) =>
    callRaw('GET /api/recordings/:id/screen/:segment', { params: { id: recording.id, segment } })
  if (recording.media === 'desktop') {
    const channel = new ReplayChannel()
    const driver = new DesktopDriver(
      recording,
      async (segment) => (await read(segment)).arrayBuffer(),
      channel,
      watch,
    )
    return { driver, stage: <DesktopStage channel={channel} /> }
  }
  const driver = new SegmentDriver(recording, async (segment) => (await read(segment)).text(), watch)
  return { driver, stage: <Stage driver={driver} /> }
}

function About({ session, zone }: { session: Session; zone: string }) {
  return (
    <div className="panel columns-even">
      <Facts>
        <Fact name="Person">
          {session.person.name}, {session.person.company}
        </Fact>
        <Fact name="Asset">
          {session.asset.name}, {session.asset.zone}, {CRITICALITY[session.asset.criticality]}
        </Fact>
        <Fact name="Account">
          <span className="mono">{session.account}</span>
        </Fact>
      </Facts>
      <Facts>
        {session.startedAt ? (
          <Fact name="Started">
            <Instant at={session.startedAt} zone={zone} />
          </Fact>
        ) : null}
        {session.endedAt ? (
          <Fact name="Ended">
            <Instant at={session.endedAt} zone={zone} />
            {session.end ? <div>{SESSION_END[session.end]}</div> : null}
          </Fact>
        ) : null}
        <Fact name="Changed">
          {session.closingNote ?? <span className="dim">Nothing handed in by the vendor</span>}
        </Fact>
      </Facts>
    </div>
  )
}

/** What was verified, when, by which checks. */
function Seal({ recording, zone }: { recording: Recording; zone: string }) {
  const verify = useAct('POST /api/recordings/:id/verify')
  const verdict = verify.data?.verdict ?? recording.lastCheck?.verdict ?? null
  const at = verify.data?.at ?? recording.lastCheck?.at ?? null
  const words = {
    VALID: 'Verified',
    'VALID-TRUNCATED': 'Verified up to its cut end',
    INVALID: 'Does not verify',
  } as const
  return (
    <section className="panel panel-tight stack" aria-labelledby="seal">
      <div className="row row-between">
        <h2 id="seal">Seal</h2>
        <Button
          size="xs"
          variant="default"
          leftSection={<IconShieldCheck size={16} aria-hidden />}
          loading={verify.isPending}
          onClick={() => verify.mutate({ params: { id: recording.id }, body: {} })}
        >
          Verify now
        </Button>
      </div>
      {verdict === null ? (
        <Status tone="quiet" word="Not verified yet" />
      ) : (
        <Status
          tone={verdict === 'VALID' ? 'normal' : verdict === 'INVALID' ? 'alarm' : 'attention'}
          word={words[verdict]}
        />
      )}
      {at ? (
        <span className="dim">
          <Instant at={at} zone={zone} />
        </span>
      ) : null}
      {recording.state === 'recovered' ? (
        <Note tone="attention">
          The gateway was cut off. What was flushed until then was recovered and signed.
        </Note>
      ) : recording.state === 'arriving' ? (
        <Note tone="quiet">Still arriving from the gateway.</Note>
      ) : null}
      {recording.unanchoredTailMs !== null && recording.unanchoredTailMs > 0 ? (
        <p>Unanchored tail: {length(recording.unanchoredTailMs)}.</p>
      ) : null}
      {recording.gaps.map((gap) => (
        <p key={`${gap.stream}${gap.t0Ms}`}>
          Gap in {gap.stream}: {countdown(gap.t0Ms)} to {countdown(gap.t1Ms)}, {gap.reason}.
        </p>
      ))}
      {verify.error ? <ErrorNote error={verify.error} /> : null}
      {verify.data ? (
        <details open={verify.data.verdict !== 'VALID'}>
          <summary>{tally(verify.data.checks)}</summary>
          <ul className="checks">
            {verify.data.checks.map((check) => (
              <li key={check.name} data-result={check.result}>
                {check.result === 'passed' ? (
                  <IconCircleCheck size={16} aria-label="Passed" />
                ) : check.result === 'failed' ? (
                  <IconCircleX size={16} aria-label="Failed" />
                ) : (
                  <IconMinus size={16} aria-label="Absent" />
                )}
                <span>
                  {check.text}
                  {check.code ? <span className="dim mono small"> {check.code}</span> : null}
                </span>
              </li>
            ))}
          </ul>
        </details>
      ) : (
        <p className="dim small">
          Chain, signatures, anchors and approvals are checked again when you press it.
        </p>
      )}
    </section>
  )
}

function TextList(props: {
  recording: Recording
  zone: string
  nowMs: number
  seek: (timeMs: number) => void
  field: React.RefObject<HTMLInputElement | null>
}) {
  const { recording, nowMs } = props
  const [typed, setTyped] = useState('')
  const [asked, setAsked] = useState('')
  const [pages, setPages] = useState<number[]>([0])
  return (
    <section className="panel panel-tight text-panel" aria-labelledby="text-list">
      <h2 id="text-list">What was on the screen</h2>
      <form
        onSubmit={(event) => {
          event.preventDefault()
          setPages([0])
          setAsked(typed.trim())
        }}
      >
        <TextInput
          ref={props.field}
          aria-label="Search the screen text"
          placeholder="Search, then Enter"
          leftSection={<IconSearch size={16} aria-hidden />}
          value={typed}
          onChange={(event) => setTyped(event.currentTarget.value)}
        />
      </form>
      <div className="text-lines">
        {pages.map((afterMs, place) => (
          <TextPage
            key={afterMs}
            recording={recording}
            afterMs={afterMs}
            search={asked}
            nowMs={nowMs}
            seek={props.seek}
            more={place === pages.length - 1 ? (next) => setPages([...pages, next]) : null}
          />
        ))}
      </div>
    </section>
  )
}

function TextPage(props: {
  recording: Recording
  afterMs: number
  search: string
  nowMs: number
  seek: (timeMs: number) => void
  more: ((next: number) => void) | null
}) {
  const { recording, search, nowMs, more } = props
  const lines = useRead('GET /api/recordings/:id/text', {
    params: { id: recording.id },
    query: { afterMs: props.afterMs, limit: 100, ...(search ? { search } : {}) },
  })
  return (
    <Shown of={lines}>
      {(data) => (
        <>
          {data.lines.length === 0 && props.afterMs === 0 ? (
            <p className="dim">
              {search ? `"${search}" was not on the screen.` : 'Nothing was on the screen.'}
            </p>
          ) : null}
          {data.lines.map((line, place) => {
            const next = data.lines[place + 1]
            const current = line.tMs <= nowMs && (!next || next.tMs > nowMs)
            return (
              <button
                type="button"
                // biome-ignore lint/suspicious/noArrayIndexKey: lines may repeat within a millisecond
                key={place}
                className="text-line"
                aria-current={current ? 'true' : undefined}
                // Its time is rounded to milliseconds: one more, and the line is on the stage for sure.
                onClick={() => props.seek(line.tMs + 1)}
              >
                <span className="num dim">{countdown(line.tMs)}</span>
                <span className="mono">{line.text}</span>
              </button>
            )
          })}
          {data.next !== null && more ? (
            <Button variant="subtle" size="xs" onClick={() => data.next !== null && more(data.next)}>
              More lines
            </Button>
          ) : null}
        </>
      )}
    </Shown>
  )
}

/** "9 checks passed, 1 had nothing to check": an absent witness is no failed check, and is said. */
function tally(checks: readonly { result: string }[]): string {
  const count = (result: string) => checks.filter((check) => check.result === result).length
  const failed = count('failed')
  const passed = count('passed')
  const rest = checks.length - failed - passed
  return [
    `${passed} ${passed === 1 ? 'check' : 'checks'} passed`,
    ...(failed > 0 ? [`${failed} failed`] : []),
    ...(rest > 0 ? [`${rest} had nothing to check`] : []),
  ].join(', ')
}
