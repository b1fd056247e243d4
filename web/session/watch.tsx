import { lazy, Suspense } from 'react'
import { useParams } from 'react-router'
import { ErrorNote } from '../shared/kit.tsx'
import { useRead } from '../shared/query.ts'
import { SessionLoading } from './strip.tsx'
import './session.css'

const TerminalWatch = lazy(async () => ({ default: (await import('./terminal-watch.tsx')).TerminalWatch }))
const DesktopWatch = lazy(async () => ({
  default: (await import('../desktop/desktop-watch.tsx')).DesktopWatch,
}))

/** An operator looks on, read-only; the vendor sees who watches. */
export function Component() {
  const { id = '' } = useParams()
  return <Watch id={id} key={id} />
}

function Watch({ id }: { id: string }) {
  const session = useRead('GET /api/sessions/:id', { params: { id } }, { live: true })
  if (!session.data) return session.error ? <ErrorNote error={session.error} /> : <SessionLoading />
  return (
    <Suspense fallback={<SessionLoading />}>
      {session.data.protocol === 'ssh' ? (
        <TerminalWatch session={session.data} />
      ) : (
        <DesktopWatch session={session.data} />
      )}
    </Suspense>
  )
}
