import type { Answer } from '../../broker/contract/api/index.ts'
import { iso, M, past } from './plant.ts'

/** A recording in four segments, each with a keyframe, and some hostile bytes that must do nothing. */
export const HOSTILE =
  '\u001b]0;pwned title\u0007\u001b]2;pwned\u0007\u001b]52;c;cHduZWQ=\u0007\u001b]8;;https://evil.example/\u0007click me\u001b]8;;\u0007 \u001b[6n\u001b[c<img src=x onerror=alert(1)>'

const lines: [number, string][] = []
const files = ['spindle.par', 'tool_07.cfg', 'cell4_backup.tar', 'drive_fw_4.3.0.bin', 'motion.log']
for (let place = 0; place < 60; place++) {
  const t = place * 6_000
  const file = files[place % files.length] ?? ''
  lines.push([
    t,
    place % 3 === 0
      ? `service@eng-b:~$ sha256sum ${file}`
      : place % 3 === 1
        ? `9f2c${place}e1  ${file}`
        : `service@eng-b:~$ ls -l ${file}`,
  ])
}
lines[31] = [31 * 6_000, HOSTILE]
const DURATION = 60 * 6_000
const SEGMENT = DURATION / 4

export function segmentText(number: number): string {
  const t0 = number * SEGMENT
  const before = lines.filter(([t]) => t < t0).slice(-22)
  const frame = `\u001b[2J\u001b[H${before.map(([, text]) => text).join('\r\n')}\r\n`
  const events = [
    JSON.stringify([t0 / 1000, 'o', frame]),
    ...lines
      .filter(([t]) => t >= t0 && t < t0 + SEGMENT)
      .map(([t, text]) =>
        JSON.stringify([
          t / 1000 + 0.1,
          'o',
          `${text.replace('service@eng-b', '\u001b[32mservice@eng-b\u001b[0m')}\r\n`,
        ]),
      ),
  ]
  return `${JSON.stringify({ version: 2, width: 96, height: 26 })}\n${events.join('\n')}\n`
}

/** One of them shows a panel. */
export const isDesktop = (id: string) => past[4]?.recordingId === id

export function recording(id: string): Answer<'GET /api/recordings/:id'> {
  const session = past.find((one) => one.recordingId === id) ?? past[1]
  if (!session) throw new RangeError('fixture')
  return {
    id,
    sessionId: session.id,
    media: isDesktop(id) ? 'desktop' : 'terminal',
    state: session.recording === 'recovered' ? 'recovered' : 'complete',
    durationMs: DURATION,
    startedAt: session.startedAt ?? iso(Date.now()),
    cols: 96,
    rows: 26,
    segments: [0, 1, 2, 3].map((number) => ({
      number,
      t0Ms: number * SEGMENT,
      t1Ms: (number + 1) * SEGMENT,
      bytes: 4096,
    })),
    activity: {
      bucketMs: DURATION / 120,
      output: Array.from({ length: 120 }, (_, n) =>
        Math.max(0, Math.round(400 * Math.sin(n / 7) ** 2 * (n % 11))),
      ),
      input: Array.from({ length: 120 }, (_, n) => (n % 5 < 3 ? (n * 7) % 13 : 0)),
    },
    markers: [
      { tMs: 6_000, kind: 'command', text: 'sha256sum spindle.par' },
      { tMs: 66_000, kind: 'watcher', text: 'Jonas Vogel watches' },
      { tMs: 150_000, kind: 'hold', text: 'Held by Jonas Vogel: somebody is in the cell' },
      { tMs: 186_000, kind: 'hold', text: 'Released' },
      { tMs: 240_000, kind: 'extension', text: '30 more minutes given by Maria Brandt' },
      { tMs: 300_000, kind: 'warning', text: '15 minutes left' },
    ],
    gaps:
      session.recording === 'recovered'
        ? [{ stream: 'screen', t0Ms: 200_000, t1Ms: 204_000, reason: 'gateway restarted' }]
        : [],
    unanchoredTailMs: session.recording === 'recovered' ? 41_000 : 0,
    lastCheck: {
      at: iso(Date.now() - 3 * 60 * M),
      verdict: session.recording === 'recovered' ? 'VALID-TRUNCATED' : 'VALID',
    },
  }
}

export const textLines = (search: string | null, afterMs: number) => {
  const found = lines.filter(([t, text]) => t >= afterMs && (!search || text.includes(search)))
  return {
    lines: found.slice(0, 100).map(([tMs, text]) => ({ tMs, text: text.replaceAll('\u001b', '') })),
    next: null,
  }
}
