import { IconCircleFilled, IconHandStop, IconPlayerStop, IconPlugConnected } from '@tabler/icons-react'
import type { Answer } from './api.ts'
import { Status } from './kit.tsx'
import { REQUEST_STATE, SESSION_END, TROUBLED_ENDS } from './words.ts'

export type Session = Answer<'GET /api/sessions/:id'>
export type Request = Answer<'GET /api/requests/:id'>

export function SessionStatus({ session }: { session: Session }) {
  switch (session.state) {
    case 'opening':
      return <Status tone="quiet" word="Opening" icon={<IconPlugConnected size={15} aria-hidden />} />
    case 'live':
      return session.inputFrozen ? (
        <Status tone="attention" word="Live, input frozen" icon={<IconHandStop size={15} aria-hidden />} />
      ) : (
        <Status tone="normal" word="Live" icon={<IconCircleFilled size={11} aria-hidden />} />
      )
    case 'held':
      return <Status tone="attention" word="Held" icon={<IconHandStop size={15} aria-hidden />} />
    case 'closing':
      return <Status tone="quiet" word="Closing" />
    case 'closed': {
      const troubled = session.end !== null && TROUBLED_ENDS.has(session.end)
      return (
        <Status
          tone={troubled ? 'attention' : 'quiet'}
          word={session.end ? SESSION_END[session.end] : 'Closed'}
          {...(troubled ? {} : { icon: <IconPlayerStop size={15} aria-hidden /> })}
        />
      )
    }
  }
}

export function RequestStatus({ request }: { request: Request }) {
  const tone = request.state === 'waiting' ? 'attention' : request.state === 'approved' ? 'normal' : 'quiet'
  return <Status tone={tone} word={REQUEST_STATE[request.state]} />
}
