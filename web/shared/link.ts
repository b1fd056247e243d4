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

/** Opens the stream; returns what closes it. The browser reconnects by itself. */
export function openHints(changed: (topics: string[] | null) => void): () => void {
  const source = new EventSource('/api/events')
  let hadLost = false
  source.onopen = () => {
    set('live')
    // Whatever was hinted while the stream was down is unknown.
    if (hadLost) changed(null)
    hadLost = false
  }
  source.onerror = () => {
    hadLost = true
    set('lost')
  }
  // An event's name is its topic; one without a name may carry topics as data, or means anything.
  source.onmessage = (event: MessageEvent<string>) => changed(topicsOf(event.data))
  for (const topic of TOPICS) source.addEventListener(topic, () => changed([topic]))
  return () => source.close()
}

export function useLinkState(): LinkState {
  return useSyncExternalStore((watch) => {
    watchers.add(watch)
    return () => watchers.delete(watch)
  }, linkState)
}
