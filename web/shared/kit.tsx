import { Button, Skeleton } from '@mantine/core'
import {
  IconAlertOctagon,
  IconAlertTriangle,
  IconCheck,
  IconCircle,
  IconInfoCircle,
} from '@tabler/icons-react'
import { type CSSProperties, type ReactNode, useEffect, useId, useRef, useState } from 'react'
import { ApiFailure } from './api.ts'
import { useNow } from './now.ts'
import { type At, instantTimes, relative, windowTimes } from './time.ts'

/** normal is grey; attention and alarm need a person; good is used only where a list says what holds. */
export type Tone = 'normal' | 'quiet' | 'attention' | 'alarm' | 'good'

const TONE_ICON = {
  normal: IconCheck,
  quiet: IconCircle,
  attention: IconAlertTriangle,
  alarm: IconAlertOctagon,
  good: IconCheck,
}

/** Status is colour and icon and word. */
export function Status({ tone, word, icon }: { tone: Tone; word: ReactNode; icon?: ReactNode }) {
  const Icon = TONE_ICON[tone]
  return (
    <span className={`status tone-${tone}`}>
      {icon ?? <Icon size={15} stroke={2} aria-hidden />}
      <span>{word}</span>
    </span>
  )
}

/** A relative time that carries the absolute one, in both zones. */
export function When({ at, zone, short }: { at: At; zone: string; short?: boolean }) {
  const now = useNow(15_000)
  const times = instantTimes(at, zone)
  const iso = new Date(at).toISOString()
  return (
    <time dateTime={iso} className="when" title={times.text}>
      <span>{relative(at, now)}</span>
      {short ? <span className="sr-only">, {times.text}</span> : <span className="dim"> · {times.text}</span>}
    </time>
  )
}

/** Both times, the plant's first. */
export function Instant({ at, zone }: { at: At; zone: string }) {
  const times = instantTimes(at, zone)
  return (
    <time dateTime={new Date(at).toISOString()} className="both-times">
      <span>{times.plant}</span>
      <span className="dim">{times.yours ? `/ ${times.yours}` : '(same as yours)'}</span>
    </time>
  )
}

export function Window({ opensAt, closesAt, zone }: { opensAt: At; closesAt: At; zone: string }) {
  const times = windowTimes(opensAt, closesAt, zone)
  return (
    <span className="both-times">
      <span>{times.plant}</span>
      <span className="dim">{times.yours ? `/ ${times.yours}` : '(same as yours)'}</span>
    </span>
  )
}

export function Page(props: {
  title: string
  lead?: ReactNode
  actions?: ReactNode
  children: ReactNode
  wide?: boolean
}) {
  useEffect(() => {
    document.title = `${props.title} · Sallyport`
  }, [props.title])
  return (
    <div className={props.wide ? 'page page-wide' : 'page'}>
      <header className="page-head">
        <div>
          <h1>{props.title}</h1>
          {props.lead ? <p className="dim">{props.lead}</p> : null}
        </div>
        {props.actions ? <div className="page-actions">{props.actions}</div> : null}
      </header>
      {props.children}
    </div>
  )
}

export function Section(props: { title: string; aside?: ReactNode; children: ReactNode; id?: string }) {
  const id = useId()
  return (
    <section className="section" aria-labelledby={id} id={props.id}>
      <div className="section-head">
        <h2 id={id}>{props.title}</h2>
        {props.aside}
      </div>
      {props.children}
    </section>
  )
}

/** What happened, what to do, and a code to quote. */
export function ErrorNote({ error, again }: { error: unknown; again?: () => void }) {
  const failure = error instanceof ApiFailure ? error : null
  return (
    <div className="note note-alarm" role="alert">
      <IconAlertOctagon size={18} aria-hidden />
      <div>
        <p>
          <strong>{failure?.message ?? 'Something went wrong on this page.'}</strong>
        </p>
        <p>{failure?.next ?? 'Reload the page. If it stays so, tell the administrator of this site.'}</p>
        {failure?.fields.length ? (
          <ul>
            {failure.fields.map((field) => (
              <li key={`${field.path}${field.message}`}>
                {field.path}: {field.message}
              </li>
            ))}
          </ul>
        ) : null}
        <p className="dim mono small">
          {failure ? failure.code : 'page-error'}
          {failure && failure.requestId !== '-' ? ` · ${failure.requestId}` : ''}
        </p>
        {again ? (
          <Button size="xs" variant="default" onClick={again} mt={6}>
            Try again
          </Button>
        ) : null}
      </div>
    </div>
  )
}

/** The error of one field of a form, as the server named it (`window.opensAt`, `jwk`, …). */
export function fieldError(error: unknown, ...paths: string[]): string | undefined {
  if (!(error instanceof ApiFailure)) return undefined
  const clean = (path: string) => path.replace(/^\/?(body)?[./]?/, '').replaceAll('/', '.')
  return error.fields.find((field) => paths.some((path) => clean(field.path).startsWith(path)))?.message
}

export function Note({ tone, children, icon }: { tone: Tone; children: ReactNode; icon?: ReactNode }) {
  const Icon = tone === 'normal' || tone === 'quiet' ? IconInfoCircle : TONE_ICON[tone]
  return (
    <div className={`note note-${tone}`}>
      {icon ?? <Icon size={18} aria-hidden />}
      <div>{children}</div>
    </div>
  )
}

/** An empty state teaches what would stand here and how it comes to be. */
export function Empty({
  title,
  children,
  action,
}: {
  title: string
  children?: ReactNode
  action?: ReactNode
}) {
  return (
    <div className="empty">
      <p className="empty-title">{title}</p>
      {children ? <p className="dim">{children}</p> : null}
      {action}
    </div>
  )
}

export function Waiting({ rows = 3, height = 56 }: { rows?: number; height?: number }) {
  return (
    <div aria-busy="true" className="stack">
      <span className="sr-only">Loading</span>
      {Array.from({ length: rows }, (_, row) => (
        // biome-ignore lint/suspicious/noArrayIndexKey: rows of a skeleton have no identity
        <Skeleton key={row} height={height} radius={3} />
      ))}
    </div>
  )
}

/** What a query shows: skeleton, error, or its data. */
export function Shown<T>(props: {
  of: { data: T | undefined; error: Error | null; refetch: () => unknown }
  waiting?: ReactNode
  children: (data: T) => ReactNode
}) {
  const { data, error, refetch } = props.of
  if (data !== undefined)
    return (
      <>
        {error ? (
          <Note tone="attention">
            Shown as last read: the broker does not answer now. The page tries again by itself.
          </Note>
        ) : null}
        {props.children(data)}
      </>
    )
  if (error) return <ErrorNote error={error} again={() => void refetch()} />
  return props.waiting ?? <Waiting />
}

export function Facts({ children }: { children: ReactNode }) {
  return <dl className="facts">{children}</dl>
}
export function Fact({ name, children }: { name: string; children: ReactNode }) {
  return (
    <div>
      <dt>{name}</dt>
      <dd>{children}</dd>
    </div>
  )
}

const HOLD_MS = 1000

/**
 * Pressed and held for a second instead of a dialog: quick in an emergency, hard to do by accident. By keyboard the
 * same with Space or Enter.
 */
export function HoldButton(props: {
  children: ReactNode
  does: () => void
  icon?: ReactNode
  disabled?: boolean
  busy?: boolean
}) {
  const [held, setHeld] = useState(false)
  const timer = useRef<ReturnType<typeof setTimeout> | null>(null)
  const hint = useId()
  const begin = () => {
    if (timer.current || props.disabled || props.busy) return
    setHeld(true)
    timer.current = setTimeout(() => {
      timer.current = null
      setHeld(false)
      props.does()
    }, HOLD_MS)
  }
  const cancel = () => {
    if (timer.current) clearTimeout(timer.current)
    timer.current = null
    setHeld(false)
  }
  useEffect(
    () => () => {
      if (timer.current) clearTimeout(timer.current)
    },
    [],
  )
  return (
    <>
      <button
        type="button"
        className="hold-button"
        data-held={held}
        disabled={props.disabled || props.busy}
        aria-describedby={hint}
        onPointerDown={begin}
        onPointerUp={cancel}
        onPointerLeave={cancel}
        onPointerCancel={cancel}
        onContextMenu={(event) => event.preventDefault()}
        onBlur={cancel}
        onKeyDown={(event) => {
          if (event.key === ' ' || event.key === 'Enter') {
            event.preventDefault()
            if (!event.repeat) begin()
          }
        }}
        onKeyUp={(event) => {
          if (event.key === ' ' || event.key === 'Enter') cancel()
        }}
      >
        <span className="hold-fill" aria-hidden />
        <span className="hold-face">
          {props.icon}
          {props.busy ? 'Stopping' : held ? 'Keep holding' : props.children}
        </span>
      </button>
      <span id={hint} className="sr-only">
        Press and hold for one second
      </span>
    </>
  )
}

/** Time left as a bar: full at the start, empty at the end. Amber in the last fifteen minutes, red in the last five. */
export function TimeLeft({ from, to, now, label }: { from: At; to: At; now: number; label: string }) {
  const start = new Date(from).getTime()
  const end = new Date(to).getTime()
  const left = Math.max(0, end - now)
  const share = end > start ? Math.min(1, left / (end - start)) : 0
  const tone = left <= 5 * 60_000 ? 'alarm' : left <= 15 * 60_000 ? 'attention' : 'normal'
  return (
    // The same is said in words beside it.
    <div className={`time-left tone-bar-${tone}`} title={label} aria-hidden="true">
      <span style={{ width: `${share * 100}%` }} />
    </div>
  )
}

/**
 * A table; on a phone each row is a card, its cells under each other with their column's name before them (base.css
 * takes the names from custom properties, so that cells need not repeat them). Wider than its place it scrolls inside
 * itself, by keyboard too.
 */
export function TableFrame(props: {
  label: string
  columns: readonly string[]
  /** What the last column's buttons do; it has no visible name. */
  actions?: string
  children: ReactNode
}) {
  const names = Object.fromEntries(
    props.columns.map((name, place) => [`--column-${place + 1}`, JSON.stringify(name)]),
  )
  return (
    // biome-ignore lint/a11y/noNoninteractiveTabindex: a scrollable region must be reachable by keyboard (WCAG 2.1.1)
    <div className="table-frame" tabIndex={0}>
      <table aria-label={props.label} style={names as CSSProperties}>
        <thead>
          <tr>
            {props.columns.map((name) => (
              <th key={name}>{name}</th>
            ))}
            {props.actions ? (
              <th>
                <span className="sr-only">{props.actions}</span>
              </th>
            ) : null}
          </tr>
        </thead>
        {props.children}
      </table>
    </div>
  )
}

export function copyText(text: string): Promise<void> {
  return navigator.clipboard.writeText(text)
}

/** A secret or link that is shown once. */
export function ShownOnce({ label, value, hint }: { label: string; value: string; hint: ReactNode }) {
  const [copied, setCopied] = useState(false)
  const id = useId()
  return (
    <div className="shown-once">
      <label htmlFor={id}>{label}</label>
      <div className="shown-once-row">
        <input
          id={id}
          readOnly
          value={value}
          className="mono"
          onFocus={(event) => event.currentTarget.select()}
        />
        <Button
          variant="default"
          onClick={() => {
            copyText(value).then(
              () => setCopied(true),
              () => setCopied(false),
            )
          }}
        >
          {copied ? 'Copied' : 'Copy'}
        </Button>
      </div>
      <p className="dim small">{hint}</p>
    </div>
  )
}
