import { Temporal } from 'temporal-polyfill'

/**
 * Windows are stored as instants; the site's time zone stands beside them, so that people always read the plant's
 * clock. Half-open: opensAt is inside, closesAt is not.
 */
export interface AccessWindow {
  /** Epoch milliseconds. */
  opensAt: number
  closesAt: number
}

/** A recurring window: a rule of the wall clock at the site, so 02:00-06:00 stays 02:00-06:00 over a change of time. */
export interface RecurringWindow {
  /** 1 Monday to 7 Sunday. */
  weekdays: readonly number[]
  /** `HH:MM` at the site; a `to` that is not after `from` is on the next day. */
  from: string
  to: string
}

export function isTimeZone(name: string): boolean {
  try {
    Temporal.Instant.fromEpochMilliseconds(0).toZonedDateTimeISO(name)
    return true
  } catch {
    return false
  }
}

/**
 * The instant at which the site's clocks show a wall time. Two times a year that is no plain question, and this is
 * the rule: a time that the change skips is taken to be the same distance after the change (02:30 becomes 03:30); a
 * time that is shown twice is the first of the two. A window is what the plant's clock shows, so the one night a year
 * it may last an hour more or less.
 */
export function instantAt(date: string, time: string, timeZone: string): number {
  const wall = Temporal.PlainDate.from(date).toPlainDateTime(Temporal.PlainTime.from(time))
  return wall.toZonedDateTime(timeZone, { disambiguation: 'compatible' }).epochMilliseconds
}

/** The windows of a rule that touch [from, until), in order; a window that the change of time empties is left out. */
export function occurrences(
  rule: RecurringWindow,
  timeZone: string,
  from: number,
  until: number,
): AccessWindow[] {
  const last = Temporal.Instant.fromEpochMilliseconds(until).toZonedDateTimeISO(timeZone).toPlainDate()
  // One day early, because a window may reach over midnight.
  let day = Temporal.Instant.fromEpochMilliseconds(from)
    .toZonedDateTimeISO(timeZone)
    .toPlainDate()
    .subtract({ days: 1 })
  const found: AccessWindow[] = []
  for (; Temporal.PlainDate.compare(day, last) <= 0; day = day.add({ days: 1 })) {
    if (!rule.weekdays.includes(day.dayOfWeek)) continue
    const overnight = rule.to <= rule.from
    const opensAt = instantAt(day.toString(), rule.from, timeZone)
    const closesAt = instantAt((overnight ? day.add({ days: 1 }) : day).toString(), rule.to, timeZone)
    if (opensAt < closesAt && closesAt > from && opensAt < until) found.push({ opensAt, closesAt })
  }
  return found
}

const WEEKDAYS = ['Mon', 'Tue', 'Wed', 'Thu', 'Fri', 'Sat', 'Sun']
const MONTHS = ['Jan', 'Feb', 'Mar', 'Apr', 'May', 'Jun', 'Jul', 'Aug', 'Sep', 'Oct', 'Nov', 'Dec']

/**
 * `Tue 24 Nov 2026, 02:00-06:00 (Europe/Berlin, UTC+01:00)`: what stands in a signed sentence, so it has one spelling
 * on every machine and names the offset, which makes the repeated hour of autumn unambiguous.
 */
export function sayWindow({ opensAt, closesAt }: AccessWindow, timeZone: string): string {
  const from = Temporal.Instant.fromEpochMilliseconds(opensAt).toZonedDateTimeISO(timeZone)
  const to = Temporal.Instant.fromEpochMilliseconds(closesAt).toZonedDateTimeISO(timeZone)
  const sameDay = Temporal.PlainDate.compare(from.toPlainDate(), to.toPlainDate()) === 0
  const end = sameDay ? clock(to) : `${date(to)}, ${clock(to)}`
  const offset = from.offset === to.offset ? `UTC${from.offset}` : `UTC${from.offset} to UTC${to.offset}`
  return `${date(from)}, ${clock(from)}-${end} (${timeZone}, ${offset})`
}

function date(at: Temporal.ZonedDateTime): string {
  return `${WEEKDAYS[at.dayOfWeek - 1]} ${at.day} ${MONTHS[at.month - 1]} ${at.year}`
}

function clock(at: Temporal.ZonedDateTime): string {
  const two = (value: number) => String(value).padStart(2, '0')
  const seconds = at.second === 0 ? '' : `:${two(at.second)}`
  return `${two(at.hour)}:${two(at.minute)}${seconds}`
}
