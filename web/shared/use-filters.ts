import { useRef } from 'react'
import { useSearchParams } from 'react-router'

/** Filters of a list, in the URL. A change begins again at the newest page. */
export function useFilters() {
  const [search, setSearch] = useSearchParams()
  const timer = useRef<ReturnType<typeof setTimeout> | undefined>(undefined)
  const set = (name: string, value: string) =>
    setSearch(
      (former) => {
        const next = new URLSearchParams(former)
        if (value) next.set(name, value)
        else next.delete(name)
        next.delete('cursor')
        return next
      },
      { replace: true },
    )
  return {
    get: (name: string): string => search.get(name) ?? '',
    set,
    /** For typing: after a pause. */
    setLater: (name: string, value: string) => {
      clearTimeout(timer.current)
      timer.current = setTimeout(() => set(name, value.trim()), 350)
    },
    any: [...search.keys()].some((name) => name !== 'cursor'),
  }
}
