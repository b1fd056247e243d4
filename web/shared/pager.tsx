import { Button } from '@mantine/core'
import { useSearchParams } from 'react-router'

/** Pages by cursor; the place stands in the URL, the way back is the browser's. */
export function Pager({ next }: { next: string | null }) {
  const [search, setSearch] = useSearchParams()
  const inside = search.has('cursor')
  if (!next && !inside) return null
  const to = (cursor: string | null) => {
    const wanted = new URLSearchParams(search)
    if (cursor) wanted.set('cursor', cursor)
    else wanted.delete('cursor')
    setSearch(wanted)
  }
  return (
    <div className="row">
      {inside ? (
        <Button variant="default" onClick={() => to(null)}>
          Back to the newest
        </Button>
      ) : null}
      {next ? (
        <Button variant="default" onClick={() => to(next)}>
          Older
        </Button>
      ) : null}
    </div>
  )
}
