import { type KeyboardEvent, type PointerEvent, useRef } from 'react'
import { type At, clockTime, day, length, ms, toWall, weekday, windowTimes } from './time.ts'

export interface Span {
  from: At
  to: At
  label: string
}

interface Props {
  zone: string
  /** The ticket's planned time: the band in which a window may lie. */
  planned: { from: At; to: At } | null
  /** What the band is called. */
  plannedLabel?: string
  /** The requested window. */
  window: { from: At; to: At } | null
  /** An approver's narrower window, drawn over the requested one. */
  narrowed?: { from: At; to: At } | null
  otherWork?: readonly Span[]
  now: number
  /** Lets a person move the window's edges, in steps of 15 minutes, never out of the planned time. */
  onChange?: (window: { from: number; to: number }) => void
}

const STEP = 15 * 60_000
const HOUR = 3_600_000

/** One bar that shows planned time, requested window, other work and now, with the plant's hours under it. */
export function WindowBar({
  zone,
  planned,
  plannedLabel = 'Planned in the ticket',
  window,
  narrowed,
  otherWork = [],
  now,
  onChange,
}: Props) {
  const track = useRef<HTMLDivElement>(null)
  const edges = [planned, window, narrowed].flatMap((span) => (span ? [ms(span.from), ms(span.to)] : []))
  if (edges.length === 0) return null
  const low = Math.min(...edges)
  const high = Math.max(...edges)
  const margin = Math.max((high - low) * 0.06, 10 * 60_000)
  const start = low - margin
  const end = high + margin
  const at = (t: number) => `${Math.min(100, Math.max(0, ((t - start) / (end - start)) * 100))}%`
  const box = (from: At, to: At) => ({
    left: at(ms(from)),
    width: `calc(${at(ms(to))} - ${at(ms(from))})`,
  })
  const others = otherWork.filter((work) => ms(work.to) > start && ms(work.from) < end)
  const shown = narrowed ?? window

  const move = (edge: 'from' | 'to', t: number) => {
    if (!onChange || !window) return
    const stepped = Math.round(t / STEP) * STEP
    const from = ms(window.from)
    const to = ms(window.to)
    const min = planned ? ms(planned.from) : start
    const max = planned ? ms(planned.to) : end
    const next =
      edge === 'from'
        ? { from: Math.min(Math.max(stepped, min), to - STEP), to }
        : { from, to: Math.max(Math.min(stepped, max), from + STEP) }
    onChange(next)
  }
  const drag = (edge: 'from' | 'to') => (event: PointerEvent<HTMLButtonElement>) => {
    if (event.buttons !== 1 || !track.current) return
    const rect = track.current.getBoundingClientRect()
    move(edge, start + ((event.clientX - rect.left) / rect.width) * (end - start))
  }
  const key = (edge: 'from' | 'to') => (event: KeyboardEvent) => {
    if (!window) return
    const by = {
      ArrowLeft: -STEP,
      ArrowDown: -STEP,
      ArrowRight: STEP,
      ArrowUp: STEP,
      PageUp: HOUR,
      PageDown: -HOUR,
    }[event.key]
    if (by === undefined) return
    event.preventDefault()
    move(edge, ms(edge === 'from' ? window.from : window.to) + by)
  }

  return (
    <div className="window-bar">
      <div className="window-track" ref={track}>
        {planned ? <span className="window-planned" style={box(planned.from, planned.to)} /> : null}
        {others.map((work) => (
          <span
            key={`${work.label}${ms(work.from)}`}
            className="window-other"
            style={box(work.from, work.to)}
            title={work.label}
          />
        ))}
        {window ? (
          <span
            className={narrowed ? 'window-asked window-faint' : 'window-asked'}
            style={box(window.from, window.to)}
          />
        ) : null}
        {narrowed ? <span className="window-asked" style={box(narrowed.from, narrowed.to)} /> : null}
        {now > start && now < end ? (
          <span className="window-now" style={{ left: at(now) }} title="Now" />
        ) : null}
        {onChange && window
          ? (['from', 'to'] as const).map((edge) => (
              <button
                key={edge}
                type="button"
                role="slider"
                className="window-handle"
                style={{ left: at(ms(window[edge])) }}
                aria-label={edge === 'from' ? 'Window opens' : 'Window closes'}
                aria-valuemin={Math.round(start / 60_000)}
                aria-valuemax={Math.round(end / 60_000)}
                aria-valuenow={Math.round(ms(window[edge]) / 60_000)}
                aria-valuetext={`${day(window[edge], zone)} ${clockTime(window[edge], zone)} plant time`}
                onPointerDown={(event) => event.currentTarget.setPointerCapture(event.pointerId)}
                onPointerMove={drag(edge)}
                onKeyDown={key(edge)}
              />
            ))
          : null}
      </div>
      <div className="window-ticks" aria-hidden>
        {ticks(start, end, zone).map((tick) => (
          <span key={tick.at} style={{ left: at(tick.at) }}>
            {tick.label}
          </span>
        ))}
      </div>
      <ul className="window-legend">
        {shown ? (
          <li>
            <i className="key key-asked" aria-hidden /> {narrowed ? 'Narrowed window' : 'Window'},{' '}
            {length(ms(shown.to) - ms(shown.from))}
          </li>
        ) : null}
        {planned ? (
          <li>
            <i className="key key-planned" aria-hidden /> {plannedLabel}:{' '}
            {windowTimes(planned.from, planned.to, zone, zone).plant.replace(/ plant \(.*\)$/, '')}
          </li>
        ) : null}
        {others.map((work) => (
          <li key={`${work.label}${ms(work.from)}`}>
            <i className="key key-other" aria-hidden /> {work.label}, {clockTime(work.from, zone)}–
            {clockTime(work.to, zone)}
          </li>
        ))}
      </ul>
    </div>
  )
}

/** At most seven marks on whole hours of the plant's clock. */
function ticks(start: number, end: number, zone: string): { at: number; label: string }[] {
  const hours = (end - start) / HOUR
  const every = [0.25, 0.5, 1, 2, 3, 6, 12, 24, 48, 168].find((step) => hours / step <= 6) ?? 720
  const marks: { at: number; label: string }[] = []
  let lastDay = ''
  for (let t = Math.ceil(start / (HOUR / 4)) * (HOUR / 4); t < end; t += HOUR / 4) {
    const wall = toWall(t, zone)
    const inDay = Number(wall.slice(11, 13)) + Number(wall.slice(14, 16)) / 60
    const wholeDays = Math.floor(t / (24 * HOUR))
    if (every < 24 ? inDay % every !== 0 : inDay !== 0 || wholeDays % (every / 24) !== 0) continue
    const thisDay = wall.slice(0, 10)
    marks.push({
      at: t,
      // Midnight says which day begins; the whole date would run into its neighbours on a phone.
      label:
        every >= 24 ? day(t, zone) : lastDay && thisDay !== lastDay ? weekday(t, zone) : clockTime(t, zone),
    })
    lastDay = thisDay
  }
  return marks.filter((mark) => (mark.at - start) / (end - start) < 0.94)
}
