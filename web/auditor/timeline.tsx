import { type KeyboardEvent, type PointerEvent, useMemo, useRef } from 'react'
import type { Answer } from '../shared/api.ts'
import { clockSeconds, clockTime, countdown } from '../shared/time.ts'
import { SESSION_END } from '../shared/words.ts'

type Recording = Answer<'GET /api/recordings/:id'>
type Session = Answer<'GET /api/sessions/:id'>

/** Kinds of markers that ask for a look; the others are drawn in grey. */
const LOUD = new Set(['warning', 'hold', 'held', 'stop', 'gap', 'frozen'])

/** Activity, markers, gaps and the window's end, over the whole session. A slider for keyboard and screen reader. */
export function Timeline(props: {
  recording: Recording
  session: Session | null
  zone: string
  nowMs: number
  seek: (timeMs: number) => void
}) {
  const { recording, session, zone, nowMs, seek } = props
  const track = useRef<HTMLDivElement>(null)
  const total = Math.max(1, recording.durationMs)
  const at = (tMs: number) => `${Math.min(100, Math.max(0, (tMs / total) * 100))}%`
  const started = new Date(recording.startedAt).getTime()
  const permitEnd = session ? new Date(session.permitEndsAt).getTime() - started : null
  // Minutes do not tell the ends of a short recording apart.
  const clockAt = total < 10 * 60_000 ? clockSeconds : clockTime
  const { output, input } = recording.activity
  const paths = useMemo(() => ({ output: bars(output, 1), input: bars(input, -1) }), [output, input])
  const go = (event: PointerEvent<HTMLDivElement>) => {
    const rect = track.current?.getBoundingClientRect()
    if (rect) seek(Math.min(1, Math.max(0, (event.clientX - rect.left) / rect.width)) * total)
  }
  const keys = (event: KeyboardEvent) => {
    if (event.key === 'Home') seek(0)
    else if (event.key === 'End') seek(total)
    else if (event.key === 'PageUp') seek(nowMs + 60_000)
    else if (event.key === 'PageDown') seek(nowMs - 60_000)
    else return
    event.preventDefault()
  }
  return (
    <div className="timeline">
      <div
        ref={track}
        className="timeline-track"
        role="slider"
        tabIndex={0}
        aria-label="Place in the recording"
        aria-valuemin={0}
        aria-valuemax={Math.round(total / 1000)}
        aria-valuenow={Math.round(nowMs / 1000)}
        aria-valuetext={`${countdown(nowMs)} of ${countdown(total)}`}
        onPointerDown={(event) => {
          event.currentTarget.setPointerCapture(event.pointerId)
          go(event)
        }}
        onPointerMove={(event) => {
          if (event.buttons === 1) go(event)
        }}
        onKeyDown={keys}
      >
        <svg viewBox={`0 0 ${Math.max(1, output.length)} 100`} preserveAspectRatio="none" aria-hidden="true">
          <path d={paths.output} className="activity-output" />
          <path d={paths.input} className="activity-input" />
        </svg>
        {recording.gaps.map((gap) => (
          <span
            key={`${gap.stream}${gap.t0Ms}`}
            className="timeline-gap"
            style={{ left: at(gap.t0Ms), width: at(gap.t1Ms - gap.t0Ms) }}
            title={`Gap: ${gap.reason}`}
          />
        ))}
        {permitEnd !== null && permitEnd < total ? (
          <span className="timeline-edge" style={{ left: at(permitEnd) }} title="End of the window" />
        ) : null}
        <span className="timeline-now" style={{ left: at(nowMs) }} />
      </div>
      <div className="timeline-scale dim num" aria-hidden="true">
        <span>{clockAt(started, zone)}</span>
        <span>{clockAt(started + total / 2, zone)}</span>
        <span>{clockAt(started + total, zone)}</span>
      </div>
      <p className="timeline-key dim small">
        <i className="key activity-key-output" aria-hidden /> Screen{' '}
        <i className="key activity-key-input" aria-hidden />{' '}
        {recording.media === 'desktop' ? 'Keys and pointer' : 'Keys'}, counted only: what was typed stays
        sealed
      </p>
      {recording.markers.length > 0 ? (
        <ul className="markers">
          {recording.markers.map((marker) => (
            <li key={`${marker.tMs}${marker.kind}${marker.text}`}>
              <button type="button" data-loud={LOUD.has(marker.kind)} onClick={() => seek(marker.tMs)}>
                <span className="num">{countdown(marker.tMs)}</span> {markerWords(marker)}
              </button>
            </li>
          ))}
        </ul>
      ) : null}
    </div>
  )
}

/** A marker as people say it; what a person wrote into it (a cause, a name) stays as it is. */
function markerWords({ kind, text }: { kind: string; text: string }): string {
  if (kind === 'ended' || kind === 'end') return SESSION_END[text as keyof typeof SESSION_END] ?? text
  const words = text.replace(/^: /, '')
  return words.charAt(0).toUpperCase() + words.slice(1)
}

/** Bars up (screen) or down (keys) from the middle, on a square-root scale so that quiet work is seen beside a flood. */
function bars(values: readonly number[], direction: 1 | -1): string {
  const most = Math.max(1, ...values)
  return values
    .map((value, place) => {
      if (value <= 0) return ''
      const height = Math.max(4, Math.sqrt(value / most) * (direction === 1 ? 62 : 30))
      return `M${place + 0.1} 66h0.8v${direction === 1 ? -height : height}h-0.8z`
    })
    .join('')
}
