import { useEffect, useSyncExternalStore } from 'react'
import type { Role } from '../../broker/domain/words.ts'
import { type Answer, setCsrf } from './api.ts'
import { useRead } from './query.ts'

export type Me = Answer<'GET /api/me'>

export function useMe() {
  const me = useRead('GET /api/me', {}, { live: true })
  const token = me.data?.csrf ?? null
  // Before the effects of children run their first calls.
  if (token) setCsrf(token)
  useEffect(() => setCsrf(token), [token])
  return me
}

export const hasRole = (me: Me, role: Role): boolean => me.roles.some((held) => held.role === role)

/** The chosen site; null means all of mine. Kept on this device. */
const KEY = 'sallyport-site'
const watchers = new Set<() => void>()
export function chooseSite(id: string | null): void {
  if (id) localStorage.setItem(KEY, id)
  else localStorage.removeItem(KEY)
  for (const watcher of watchers) watcher()
}
export function useSite(me: Me): { chosen: Me['sites'][number] | null; clock: Me['sites'][number] | null } {
  const id = useSyncExternalStore(
    (watch) => {
      watchers.add(watch)
      return () => watchers.delete(watch)
    },
    () => localStorage.getItem(KEY),
  )
  const chosen = me.sites.find((site) => site.id === id) ?? null
  return { chosen, clock: chosen ?? me.sites[0] ?? null }
}
