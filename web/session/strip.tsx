import {
  IconAlertTriangle,
  IconEye,
  IconHandStop,
  IconInfoCircle,
  IconPlugConnectedX,
  IconPointFilled,
} from '@tabler/icons-react'
import type { ReactNode } from 'react'
import { clockTime, countdown, length } from '../shared/time.ts'
import type { SessionPage } from './session-state.ts'

/** Monotonic now, so a changed clock does not move the countdown. */
export const steady = (): number => performance.now()

export function timeTone(leftMs: number | null): 'normal' | 'attention' | 'alarm' {
  if (leftMs === null) return 'normal'
  return leftMs <= 5 * 60_000 ? 'alarm' : leftMs <= 15 * 60_000 ? 'attention' : 'normal'
}

/** Milliseconds to the next deadline; while a person holds the session, to the end of the window. */
function timeLeft(page: SessionPage): number | null {
  if (page.deadline !== null) return Math.max(0, page.deadline - steady())
  if (page.state !== 'held' || page.permitEndsAt === null) return null
  return Math.max(0, page.permitEndsAt - Date.now())
}

/** The slim strip: asset, time left, recording, watchers, latency. */
export function Strip({ page, title, children }: { page: SessionPage; title: string; children: ReactNode }) {
  const over = page.link === 'over'
  const left = over ? null : timeLeft(page)
  // Held with a deadline of its own: held because its time is over. A hold by a person has none, the window goes on.
  const held = page.state === 'held' && page.deadline !== null
  const watching =
    page.watchers.length > 0
      ? `${page.watchers.join(', ')} ${page.watchers.length > 1 ? 'watch' : 'watches'}`
      : 'Nobody watches'
  return (
    <header className="strip">
      <h1 className="strip-asset clip" style={{ fontSize: 'inherit' }}>
        {title}
      </h1>
      {page.hello ? <span className="strip-quiet mono strip-wide">{page.hello.account}</span> : null}
      {left === null ? null : (
        <span className={`strip-time tone-${held ? 'attention' : timeTone(left)}`}>
          <span className="sr-only">{held ? 'Held, ends in ' : 'Time left '}</span>
          {countdown(left)}
          <span className="strip-narrow-hide">{held ? ' until it ends' : ' left'}</span>
        </span>
      )}
      {over ? null : (
        <span className="rec">
          <IconPointFilled size={16} aria-hidden />
          <span>
            Rec<span className="strip-narrow-hide">orded</span>
          </span>
        </span>
      )}
      {over ? null : (
        <span className={`strip-watch ${page.watchers.length > 0 ? '' : 'strip-quiet strip-narrow-hide'}`}>
          <IconEye size={16} aria-hidden />
          <span className="clip strip-watchers" title={watching}>
            {watching}
          </span>
          <span className="strip-narrow-only">{page.watchers.length}</span>
        </span>
      )}
      <span className="strip-space" />
      <span className="strip-quiet num strip-middle">
        {page.link === 'open' && page.latencyMs !== null ? `${Math.round(page.latencyMs)} ms` : ''}
      </span>
      <span className="strip-buttons">{children}</span>
    </header>
  )
}

/** What stands where strip and message line come, until it is known which session it is. */
export function SessionLoading() {
  return (
    <div className="session">
      <div className="strip" />
      <Line tone="quiet" icon={<IconInfoCircle size={17} />}>
        Connecting to the asset.
      </Line>
    </div>
  )
}

/**
 * One line that is always there, so that a warning never covers nor moves the work. The most urgent thing wins.
 */
export function MessageLine(props: {
  page: SessionPage
  zone: string
  /** Whoever looks on is told what the engineer is told to do, not told to do it. */
  watching?: boolean
  quiet: ReactNode
  refusal: string | null
  ask: (() => void) | null
  pending: string | null
  answerPaste: (yes: boolean) => void
}) {
  const { page } = props
  const now = steady()
  if (page.link === 'lost')
    return (
      <Line tone="attention" icon={<IconPlugConnectedX size={17} />}>
        <strong>Connection lost.</strong> It comes back by itself{page.tries > 3 ? `, try ${page.tries}` : ''}
        . The screen is kept for you, keys are released, nothing you type is sent.
      </Line>
    )
  if (page.state === 'held' || page.inputFrozen) {
    const left = page.deadline === null ? null : Math.max(0, page.deadline - now)
    return (
      <Line tone="attention" icon={<IconHandStop size={17} />}>
        <strong>Input is frozen{page.by && page.by !== 'policy' ? ` by ${page.by}` : ''}.</strong>{' '}
        {sentence(page.cause)}{' '}
        {page.by && page.by !== 'policy'
          ? props.watching
            ? 'The engineer is told to leave the machine as it is. Nothing is typed until input is given back.'
            : 'Leave the machine as it is and wait, or call the control room.'
          : `The screen stays live${left === null ? '' : ` for ${roughly(left)}`}. ${
              props.watching
                ? 'Confirm the end when the machine is in a safe state; an approver can give more time.'
                : 'Ask for more time, or call the control room.'
            }`}
        {props.ask && (!page.by || page.by === 'policy') ? <Ask does={props.ask} /> : null}
      </Line>
    )
  }
  if (props.pending !== null) {
    const lines = props.pending.trimEnd().split(/\r\n|\r|\n/).length
    return (
      <Line tone="attention" icon={<IconAlertTriangle size={17} />}>
        <strong>Paste {lines} lines?</strong> Each line break may run a command at once.{' '}
        <button type="button" onClick={() => props.answerPaste(true)}>
          Paste
        </button>{' '}
        <button type="button" onClick={() => props.answerPaste(false)}>
          Do not paste
        </button>
      </Line>
    )
  }
  if (props.refusal)
    return (
      <Line tone="attention" icon={<IconAlertTriangle size={17} />}>
        {props.refusal}
      </Line>
    )
  if (page.idleEndsAt !== null && page.idleEndsAt > now)
    return (
      <Line tone="attention" icon={<IconAlertTriangle size={17} />}>
        <strong>{props.watching ? 'Nothing was typed' : 'You have not typed'} for a while.</strong> The
        session ends in {roughly(page.idleEndsAt - now)} unless{' '}
        {props.watching ? 'the engineer presses' : 'you press'} a key.
      </Line>
    )
  if (page.warning) {
    const left = page.deadline === null ? page.warning.minutes * 60_000 : Math.max(0, page.deadline - now)
    return (
      <Line tone={left <= 5 * 60_000 ? 'alarm' : 'attention'} icon={<IconAlertTriangle size={17} />}>
        <strong>{roughly(left)} left</strong>, until {clockTime(page.warning.endsAt, props.zone)} plant time.{' '}
        {props.watching
          ? 'The engineer was told to bring the machine into a safe state.'
          : `Bring the machine into a safe state${props.ask ? ', or ask for more time.' : '.'}`}
        {props.ask ? <Ask does={props.ask} /> : null}
      </Line>
    )
  }
  if (page.link === 'connecting' || page.state === 'opening')
    return (
      <Line tone="quiet" icon={<IconInfoCircle size={17} />}>
        Connecting to the asset.
      </Line>
    )
  return (
    <Line tone="quiet" icon={<IconInfoCircle size={17} />}>
      {page.hello?.viewOnly ? <strong>View only. </strong> : null}
      {props.quiet}
    </Line>
  )
}

/**
 * A duration in whole minutes, under a minute in steps of ten seconds: this line is a live region, and one that changed
 * every second would be read aloud every second. The exact countdown stands in the strip, which is none.
 */
const roughly = (milliseconds: number): string =>
  milliseconds >= 60_000
    ? length(Math.ceil(milliseconds / 60_000) * 60_000)
    : length(Math.ceil(milliseconds / 10_000) * 10_000)

/** A cause that somebody typed, closed by a full stop. */
const sentence = (cause: string | null) => (cause && !/[.!?]$/.test(cause) ? `${cause}.` : (cause ?? ''))

function Ask({ does }: { does: () => void }) {
  return (
    <>
      {' '}
      <button type="button" onClick={does}>
        Ask for more time
      </button>
    </>
  )
}

function Line({ tone, icon, children }: { tone: string; icon: ReactNode; children: ReactNode }) {
  return (
    <div className={`message-line tone-${tone}`} role="status">
      {icon}
      <span>{children}</span>
    </div>
  )
}
