import { ms } from '../shared/time.ts'

const QUARTER = 15 * 60_000
const USUAL = 4 * 3_600_000

/**
 * A first window inside the ticket's planned time: what the person had if it fits, else from now or the planned start
 * for four hours at most. Null when the ticket has no planned time or it is over.
 */
export function proposeWindow(
  ticket: { plannedStart: string | null; plannedEnd: string | null },
  kept: { from: number; to: number } | null,
  now: number,
): { from: number; to: number } | null {
  if (!ticket.plannedStart || !ticket.plannedEnd) return null
  const start = ms(ticket.plannedStart)
  const end = ms(ticket.plannedEnd)
  if (kept && kept.from >= start && kept.to <= end && kept.to > now) return kept
  const from = Math.max(start, Math.floor(now / QUARTER) * QUARTER)
  const to = Math.min(end, from + USUAL)
  return to > from ? { from, to } : null
}
