import { useSyncExternalStore } from 'react'

/**
 * The stream of hints (`/api/events`, server-sent): "something in these topics changed". It carries no data, so a
 * lost hint costs freshness only: polling goes on beside it.
 */
export type LinkState = 'connecting' | 'live' | 'lost'

let state: LinkState = 'connecting'
const watchers = new Set<() => void>()

export const linkState = (): LinkState => state

function set(next: LinkState): void {
  if (next === state) return
  state = next
  for (const watcher of watchers) watcher()
}

/** What the broker hints at (broker/sessions/hints.ts). */
const TOPICS = ['requests', 'sessions', 'extensions', 'alarms'] as const

/** Topics of one hint; null means "anything". */
export function topicsOf(data: string): string[] | null {
  try {
    const read: unknown = JSON.parse(data)
    const list = Array.isArray(read)
      ? read
      : typeof read === 'object' && read !== null && 'topics' in read
        ? read.topics
        : null
    return Array.isArray(list) && list.every((topic) => typeof topic === 'string') ? list : null
  } catch {
    return null
  }
}

/** After an answer that ends a stream for good (a restart, too many streams) the browser does not come back by itself. */
const AGAIN_MS = 5_000

/**
 * Opens the stream while the page is in sight; returns what closes it. A hidden page holds none: over HTTP/1.1 a browser
 * has six connections for all its pages, and six forgotten tabs would leave none for what a person does in the seventh.
 */
export function openHints(changed: (topics: string[] | null) => void): () => void {
  let source: EventSource | null = null
  let again: ReturnType<typeof setTimeout> | undefined
  // Whatever was hinted while the stream was down or the page hidden is unknown.
  let missed = false
  const open = () => {
    const opened = new EventSource('/api/events')
    source = opened
    opened.onopen = () => {
      set('live')
      if (missed) changed(null)
      missed = false
    }
    opened.onerror = () => {
      missed = true
      set('lost')
      if (opened.readyState !== EventSource.CLOSED) return
      shut()
      again = setTimeout(open, AGAIN_MS)
    }
    // An event's name is its topic; one without a name may carry topics as data, or means anything.
    opened.onmessage = (event: MessageEvent<string>) => changed(topicsOf(event.data))
    for (const topic of TOPICS) opened.addEventListener(topic, () => changed([topic]))
  }
  const shut = () => {
    clearTimeout(again)
    source?.close()
    source = null
  }
  const follow = () => {
    shut()
    if (document.hidden) missed = true
    else open()
  }
  document.addEventListener('visibilitychange', follow)
  follow()
  return () => {
    document.removeEventListener('visibilitychange', follow)
    shut()
  }
}

export function useLinkState(): LinkState {
  return useSyncExternalStore((watch) => {
    watchers.add(watch)
    return () => watchers.delete(watch)
  }, linkState)
}
