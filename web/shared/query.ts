import {
  keepPreviousData,
  QueryClient,
  type UseQueryOptions,
  type UseQueryResult,
  useMutation,
  useQuery,
} from '@tanstack/react-query'
import { type Answer, ApiFailure, call, type Input, type RawKey, type ReadKey, type RouteKey } from './api.ts'
import { linkState } from './link.ts'

type PlainRead = Exclude<ReadKey, RawKey>

export const queryClient = new QueryClient({
  defaultOptions: {
    queries: {
      // What the browser believes about the network is no reason to wait without a word: try, and say what came of it.
      networkMode: 'always',
      staleTime: 5_000,
      retry: (count, error) =>
        !(error instanceof ApiFailure && (error.status >= 400 || error.code === 'no-answer')) && count < 3,
      refetchOnWindowFocus: true,
    },
    mutations: { networkMode: 'always' },
  },
})

/** Reading these is an entry in the audit log, so they are read when a person asks, not whenever something changes. */
const CUSTODY = ['/api/recordings', '/api/audit', '/api/integrity']
const isCustody = (key: unknown) =>
  typeof key === 'string' && CUSTODY.some((path) => key.includes(` ${path}`))

/** Something changed: everything shown is fetched again (hints carry no data). */
export function refreshShown(topics: readonly string[] | null = null): void {
  void queryClient.invalidateQueries({
    predicate: ({ queryKey: [key] }) =>
      typeof key === 'string' && !isCustody(key) && (!topics || topics.some((topic) => concerns(key, topic))),
  })
}

/** A hint's topic is a word of the routes ("requests", "sessions", …); whoever shows sessions also shows requests. */
function concerns(key: string, topic: string): boolean {
  if (key.includes(topic)) return true
  const kin: Record<string, string[]> = {
    requests: ['/my/', '/extensions', '/consoles', '/sessions', '/exceptions', '/assets'],
    sessions: ['/requests', '/consoles', '/me'],
    approvals: ['/requests'],
    tickets: ['/requests', '/my/'],
    alarms: ['/me', '/health'],
    inventory: ['/assets', '/sites', '/zones', '/conduits', '/my/endpoints', '/exceptions'],
    identity: ['/me', '/people', '/vendors'],
    people: ['/me', '/vendors'],
    gateways: ['/health'],
  }
  return (kin[topic] ?? []).some((path) => key.includes(path))
}

/**
 * Reads a route. `live`: kept up to date by hints, and by polling: often while the hint stream is down, seldom else.
 */
export function useRead<K extends PlainRead>(
  key: K,
  input: Input<K>,
  options: { enabled?: boolean; live?: boolean; keep?: boolean } = {},
): UseQueryResult<Answer<K>, Error> {
  const wanted: UseQueryOptions<Answer<K>, Error> = {
    queryKey: [key, input],
    queryFn: ({ signal }) => call(key, input, signal),
    enabled: options.enabled ?? true,
    ...(isCustody(key) ? { staleTime: Number.POSITIVE_INFINITY, refetchOnWindowFocus: false } : {}),
    ...(options.live ? { refetchInterval: () => (linkState() === 'live' ? 60_000 : 8_000) } : {}),
  }
  // The old page of a list stays while the next one is read. (Set apart: its type does not see through `K`.)
  const keep = options.keep ? { placeholderData: keepPreviousData as never } : {}
  return useQuery({ ...wanted, ...keep })
}

/** Does something; what is shown is fetched again afterwards. */
export function useAct<K extends Exclude<RouteKey, RawKey>>(key: K, done?: (answer: Answer<K>) => void) {
  return useMutation<Answer<K>, Error, Input<K>>({
    mutationFn: (input) => call(key, input),
    onSuccess: (answer) => {
      refreshShown()
      done?.(answer)
    },
  })
}
