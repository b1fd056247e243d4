import { Button } from '@mantine/core'
import { ErrorNote, Note, When } from '../shared/kit.tsx'
import { useAct } from '../shared/query.ts'
import type { Request } from '../shared/session-status.tsx'
import { ms } from '../shared/time.ts'

/** Whether a session would open now: everything holds, and where operators use the console, one says that it is free. */
export function opensNow(request: Request, now: number): boolean {
  const { console: word } = request
  return (
    request.decision.permitted && (word === null || (word.ready !== null && ms(word.ready.expiresAt) > now))
  )
}

/** The console that operators use: asked for, waited for, or said to be free. Nothing where it does not matter. */
export function ConsoleWord({ request, now }: { request: Request; now: number }) {
  const ask = useAct('POST /api/requests/:id/console/ask')
  const { console: word } = request
  if (word === null || !request.decision.permitted) return null
  const zone = request.asset.site.timeZone
  if (word.ready !== null && ms(word.ready.expiresAt) > now)
    return (
      <Note tone="normal">
        <p>
          <strong>{word.ready.by} says that the console is free.</strong> Open the session until{' '}
          <When at={word.ready.expiresAt} zone={zone} short />; after that, and for every other opening, ask
          again.
        </p>
      </Note>
    )
  return (
    <Note tone="attention">
      <p>
        <strong>Waiting for an operator at the site to say that the console is free.</strong> Your session
        takes it away from whoever stands before it.
      </p>
      {word.askedAt !== null && word.ready === null ? (
        <p className="dim">
          Asked <When at={word.askedAt} zone={zone} short />. This page says so when somebody has answered.
        </p>
      ) : (
        <div className="row" style={{ marginTop: '0.5rem' }}>
          <Button
            size="xs"
            loading={ask.isPending}
            onClick={() => ask.mutate({ params: { id: request.id }, body: {} })}
          >
            Ask the operators
          </Button>
        </div>
      )}
      {ask.error ? <ErrorNote error={ask.error} /> : null}
    </Note>
  )
}
