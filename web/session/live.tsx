import { useQuery } from '@tanstack/react-query'
import { lazy, Suspense } from 'react'
import { useParams } from 'react-router'
import { call } from '../shared/api.ts'
import { ErrorNote } from '../shared/kit.tsx'
import { SessionLoading } from './strip.tsx'
import './session.css'

const TerminalLive = lazy(async () => ({ default: (await import('./terminal-live.tsx')).TerminalLive }))
const DesktopLive = lazy(async () => ({ default: (await import('../desktop/desktop-live.tsx')).DesktopLive }))

/** The vendor's session: the screen has the page. */
export function Component() {
  const { id = '' } = useParams()
  return <Live id={id} key={id} />
}

function Live({ id }: { id: string }) {
  const session = useQuery({
    queryKey: ['GET /api/sessions/:id', { params: { id } }],
    queryFn: ({ signal }) => call('GET /api/sessions/:id', { params: { id } }, signal),
    refetchInterval: 30_000,
  })
  if (!session.data) return session.error ? <ErrorNote error={session.error} /> : <SessionLoading />
  return (
    <Suspense fallback={<SessionLoading />}>
      {session.data.protocol === 'ssh' ? (
        <TerminalLive session={session.data} />
      ) : (
        <DesktopLive session={session.data} />
      )}
    </Suspense>
  )
}
