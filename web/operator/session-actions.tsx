import { Button, TextInput } from '@mantine/core'
import { IconEye, IconHandStop, IconPlayerPlay, IconPlayerStopFilled } from '@tabler/icons-react'
import { useState } from 'react'
import { Link, useLocation } from 'react-router'
import { ErrorNote, fieldError, HoldButton, Note } from '../shared/kit.tsx'
import { useAct } from '../shared/query.ts'
import type { Session } from '../shared/session-status.tsx'
import { shortTime } from '../shared/time.ts'

/** Watch, hold, stop. Stop is held for a second, says what it did and how fast, and asks for the reason after. */
export function SessionActions({ session }: { session: Session }) {
  const watching = useLocation().pathname.endsWith('/watch')
  const [holding, setHolding] = useState(false)
  const [cause, setCause] = useState('')
  const hold = useAct('POST /api/sessions/:id/hold', () => {
    setHolding(false)
    setCause('')
  })
  const release = useAct('POST /api/sessions/:id/release')
  const stop = useAct('POST /api/sessions/:id/stop')
  const id = session.id
  const closed = session.state === 'closed'
  const held = session.state === 'held'
  // Held by a person: that hold can be taken back. Held because its time is over: an operator ends it, or more time does.
  const byPerson = (held || session.inputFrozen) && session.by !== null && session.by !== 'policy'
  if (stop.data) return <Stopped id={id} ms={stop.data.closedAfterMs} asset={session.asset.name} />
  if (closed)
    return session.holdStands ? (
      <div className="stack-tight">
        <p>Your hold stands: {session.person.name} opens nothing here that was approved before it.</p>
        <Button
          variant="default"
          leftSection={<IconPlayerPlay size={17} aria-hidden />}
          loading={release.isPending}
          onClick={() => release.mutate({ params: { id }, body: {} })}
        >
          Release the hold
        </Button>
        {release.error ? <ErrorNote error={release.error} /> : null}
      </div>
    ) : null
  return (
    <div className="stack-tight">
      <div className="row">
        {watching ? null : (
          <Button
            component={Link}
            to={`/sessions/${id}/watch`}
            variant="default"
            leftSection={<IconEye size={17} aria-hidden />}
          >
            Watch
          </Button>
        )}
        {byPerson ? (
          <Button
            variant="default"
            leftSection={<IconPlayerPlay size={17} aria-hidden />}
            loading={release.isPending}
            onClick={() => release.mutate({ params: { id }, body: {} })}
          >
            Give input back
          </Button>
        ) : held ? null : (
          <Button
            variant="default"
            leftSection={<IconHandStop size={17} aria-hidden />}
            onClick={() => setHolding((open) => !open)}
            aria-expanded={holding}
          >
            Hold
          </Button>
        )}
        <HoldButton
          icon={<IconPlayerStopFilled size={16} aria-hidden />}
          does={() => stop.mutate({ params: { id }, body: {} })}
          busy={stop.isPending}
        >
          {held && !byPerson ? 'Confirm the end' : 'Stop'}
        </HoldButton>
      </div>
      {holding ? (
        <form
          className="row"
          onSubmit={(event) => {
            event.preventDefault()
            hold.mutate({ params: { id }, body: { cause } })
          }}
        >
          <TextInput
            className="grow"
            aria-label="Why you hold it"
            placeholder="Why? The engineer reads it"
            value={cause}
            onChange={(event) => setCause(event.currentTarget.value)}
            required
            maxLength={500}
            error={fieldError(hold.error, 'cause')}
            data-autofocus
          />
          <Button type="submit" loading={hold.isPending}>
            Freeze input
          </Button>
        </form>
      ) : null}
      {[hold.error, release.error, stop.error].map((error) =>
        error ? <ErrorNote key={error.message} error={error} /> : null,
      )}
    </div>
  )
}

function Stopped({ id, ms, asset }: { id: string; ms: number; asset: string }) {
  const [reason, setReason] = useState('')
  const say = useAct('POST /api/sessions/:id/stop-reason')
  return (
    <div className="stack">
      <Note tone="attention">
        <p>
          <strong>Stopped.</strong> The connection to {asset} was closed after{' '}
          <span className="num">{shortTime(ms)}</span>. The recording is kept.
        </p>
      </Note>
      {say.data ? (
        <p className="dim">Reason kept with the session.</p>
      ) : (
        <form
          className="row"
          onSubmit={(event) => {
            event.preventDefault()
            say.mutate({ params: { id }, body: { reason } })
          }}
        >
          <TextInput
            className="grow"
            label="Why did you stop it?"
            value={reason}
            onChange={(event) => setReason(event.currentTarget.value)}
            required
            maxLength={500}
            error={fieldError(say.error, 'reason')}
          />
          <Button type="submit" variant="default" loading={say.isPending} style={{ alignSelf: 'flex-end' }}>
            Keep reason
          </Button>
        </form>
      )}
      {say.error ? <ErrorNote error={say.error} /> : null}
    </div>
  )
}
