/**
 * Times as people at two places read them: always the plant's and the viewer's. Instants are ISO 8601 UTC strings or
 * epoch milliseconds; zones are IANA names. No library: Intl knows the zones.
 */
export type At = string | number | Date

const LOCALE = 'en-GB'
const formats = new Map<string, Intl.DateTimeFormat>()

function format(timeZone: string, options: Intl.DateTimeFormatOptions): Intl.DateTimeFormat {
  const key = `${timeZone}|${JSON.stringify(options)}`
  let found = formats.get(key)
  if (!found) {
    found = new Intl.DateTimeFormat(LOCALE, { ...options, timeZone })
    formats.set(key, found)
  }
  return found
}

export const viewerZone = (): string => Intl.DateTimeFormat().resolvedOptions().timeZone

export const ms = (at: At): number => (typeof at === 'number' ? at : new Date(at).getTime())

/** The last part of a zone's name: "America/Argentina/Buenos_Aires" is "Buenos Aires". */
export function city(timeZone: string): string {
  return (timeZone.split('/').at(-1) ?? timeZone).replaceAll('_', ' ')
}

interface Wall {
  year: number
  month: number
  day: number
  hour: number
  minute: number
  second: number
}

/** What a wall clock at `timeZone` shows. */
function wall(at: At, timeZone: string): Wall {
  const parts = format(timeZone, {
    year: 'numeric',
    month: 'numeric',
    day: 'numeric',
    hour: 'numeric',
    minute: 'numeric',
    second: 'numeric',
    hourCycle: 'h23',
  }).formatToParts(new Date(ms(at)))
  const get = (type: string) => Number(parts.find((part) => part.type === type)?.value ?? 0)
  return {
    year: get('year'),
    month: get('month'),
    day: get('day'),
    hour: get('hour'),
    minute: get('minute'),
    second: get('second'),
  }
}

function offsetMs(at: number, timeZone: string): number {
  const w = wall(at, timeZone)
  return Date.UTC(w.year, w.month - 1, w.day, w.hour, w.minute, w.second) - Math.floor(at / 1000) * 1000
}

const two = (n: number) => String(n).padStart(2, '0')

/** "YYYY-MM-DDTHH:mm" at the zone, as `<input type="datetime-local">` takes it. */
export function toWall(at: At, timeZone: string): string {
  const w = wall(at, timeZone)
  return `${String(w.year).padStart(4, '0')}-${two(w.month)}-${two(w.day)}T${two(w.hour)}:${two(w.minute)}`
}

/**
 * The instant at which the zone's wall clock shows this; null when the text is no time. A time that a change of
 * daylight saving skips is moved forward by the gap; one that it repeats means the first of the two.
 */
export function fromWall(text: string, timeZone: string): string | null {
  const match = /^(\d{4})-(\d{2})-(\d{2})T(\d{2}):(\d{2})/.exec(text)
  if (!match) return null
  const [, y, mo, d, h, mi] = match.map(Number) as [number, number, number, number, number, number]
  const asUtc = Date.UTC(y, mo - 1, d, h, mi)
  if (Number.isNaN(asUtc)) return null
  const before = asUtc - offsetMs(asUtc - 86_400_000, timeZone)
  const after = asUtc - offsetMs(asUtc + 86_400_000, timeZone)
  const fits = [before, after].filter((at) => at + offsetMs(at, timeZone) === asUtc)
  return new Date(fits.length > 0 ? Math.min(...fits) : before).toISOString()
}

const clock = (at: At, timeZone: string) =>
  format(timeZone, { hour: '2-digit', minute: '2-digit', hourCycle: 'h23' }).format(new Date(ms(at)))
/** "Tue". */
export const weekday = (at: At, timeZone: string) =>
  format(timeZone, { weekday: 'short' }).format(new Date(ms(at)))
const dayKey = (at: At, timeZone: string) => toWall(at, timeZone).slice(0, 10)

/** "Tue 24 Nov"; with the year when it is not this one. */
export function day(at: At, timeZone: string, now: At = Date.now()): string {
  const date = new Date(ms(at))
  const text = `${weekday(at, timeZone)} ${format(timeZone, { day: 'numeric', month: 'short' }).format(date)}`
  const year = toWall(at, timeZone).slice(0, 4)
  return year === toWall(now, timeZone).slice(0, 4) ? text : `${text} ${year}`
}

export const clockTime = clock

/** "14:02:09" at the zone. */
export function clockSeconds(at: At, timeZone: string): string {
  return format(timeZone, { hour: '2-digit', minute: '2-digit', second: '2-digit', hourCycle: 'h23' }).format(
    new Date(ms(at)),
  )
}

function sameWall(ats: At[], a: string, b: string): boolean {
  return ats.every((at) => toWall(at, a) === toWall(at, b))
}

/** The plant's half of a window: "Tue 24 Nov, 02:00–06:00"; a later day is named after its time. */
function span(opensAt: At, closesAt: At, timeZone: string, saidDay: string): string {
  const from = dayKey(opensAt, timeZone)
  const to = dayKey(closesAt, timeZone)
  const name = (at: At) => ` ${weekday(at, timeZone)}`
  if (from === to) {
    const said = from === saidDay ? '' : name(opensAt)
    return `${clock(opensAt, timeZone)}–${clock(closesAt, timeZone)}${said}`
  }
  return `${clock(opensAt, timeZone)}${from === saidDay ? '' : name(opensAt)}–${clock(closesAt, timeZone)}${name(closesAt)}`
}

export interface BothTimes {
  plant: string
  /** Null when the viewer's clock shows the same. */
  yours: string | null
  /** One line with both. */
  text: string
}

/** "Tue 24 Nov, 02:00–06:00 plant (Berlin) / 19:00–23:00 Mon yours (Chicago)". */
export function windowTimes(
  opensAt: At,
  closesAt: At,
  plantZone: string,
  yourZone: string = viewerZone(),
  now: At = Date.now(),
): BothTimes {
  const said = dayKey(opensAt, plantZone)
  const plant = `${day(opensAt, plantZone, now)}, ${span(opensAt, closesAt, plantZone, said)} plant (${city(plantZone)})`
  if (sameWall([opensAt, closesAt], plantZone, yourZone)) return both(plant, null)
  return both(plant, `${span(opensAt, closesAt, yourZone, said)} yours (${city(yourZone)})`)
}

/** "Tue 24 Nov, 02:00 plant (Berlin) / 19:00 Mon yours (Chicago)". */
export function instantTimes(
  at: At,
  plantZone: string,
  yourZone: string = viewerZone(),
  now: At = Date.now(),
): BothTimes {
  const plant = `${day(at, plantZone, now)}, ${clock(at, plantZone)} plant (${city(plantZone)})`
  if (sameWall([at], plantZone, yourZone)) return both(plant, null)
  const named = dayKey(at, plantZone) === dayKey(at, yourZone) ? '' : ` ${weekday(at, yourZone)}`
  return both(plant, `${clock(at, yourZone)}${named} yours (${city(yourZone)})`)
}

function both(plant: string, yours: string | null): BothTimes {
  return { plant, yours, text: yours ? `${plant} / ${yours}` : `${plant} (same as yours)` }
}

/** A length in words: "2 h 14 min", "4 min 10 s", "38 s". Never negative. */
export function length(milliseconds: number): string {
  const s = Math.max(0, Math.floor(milliseconds / 1000))
  const days = Math.floor(s / 86_400)
  const hours = Math.floor((s % 86_400) / 3600)
  const minutes = Math.floor((s % 3600) / 60)
  if (days > 0) return hours > 0 ? `${days} d ${hours} h` : `${days} d`
  if (hours > 0) return minutes > 0 ? `${hours} h ${minutes} min` : `${hours} h`
  if (minutes >= 10) return `${minutes} min`
  if (minutes > 0) return s % 60 > 0 ? `${minutes} min ${s % 60} s` : `${minutes} min`
  return `${s} s`
}

/** A time that was measured: "3 ms", "1.24 s". */
export function shortTime(milliseconds: number): string {
  return milliseconds < 1000
    ? `${Math.max(1, Math.round(milliseconds))} ms`
    : `${(milliseconds / 1000).toFixed(2)} s`
}

/** A countdown: "1:04:09" or "04:09". */
export function countdown(milliseconds: number): string {
  const s = Math.max(0, Math.ceil(milliseconds / 1000))
  const hours = Math.floor(s / 3600)
  const rest = `${two(Math.floor((s % 3600) / 60))}:${two(s % 60)}`
  return hours > 0 ? `${hours}:${rest}` : rest
}

/** "in 2 h 14 min", "5 min ago", "now". The absolute time always goes with it (see <When>). */
export function relative(at: At, now: At = Date.now()): string {
  const difference = ms(at) - ms(now)
  if (Math.abs(difference) < 15_000) return 'now'
  // Days ahead or ago are counted in days: nobody plans by "in 119 d 23 h".
  const days = Math.round(Math.abs(difference) / 86_400_000)
  if (days >= 2) return difference > 0 ? `in ${days} days` : `${days} days ago`
  const coarse = Math.round(Math.abs(difference) / 60_000) * 60_000
  const words = Math.abs(difference) < 60_000 ? 'less than a minute' : length(coarse).replace(/ \d+ s$/, '')
  return difference > 0 ? `in ${words}` : `${words} ago`
}
