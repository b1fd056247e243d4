import { Button, Modal, TextInput } from '@mantine/core'
import { IconAlertOctagon } from '@tabler/icons-react'
import { useState } from 'react'
import { ErrorNote } from '../shared/kit.tsx'
import { hasRole, type Me } from '../shared/me.ts'
import { useAct } from '../shared/query.ts'
import { relative } from '../shared/time.ts'

/**
 * One line for alarms (integrity, clock, storage): the newest that nobody has taken on, and how many more there are. Once
 * all are acknowledged it stays, quietly, until their causes have gone.
 */
export function AlarmBanner({ me }: { me: Me }) {
  const [open, setOpen] = useState(false)
  const waiting = me.alarms.find(({ acknowledgedBy }) => acknowledgedBy === null)
  const first = waiting ?? me.alarms[0]
  if (!first) return null
  const mayAcknowledge = hasRole(me, 'administrator') || hasRole(me, 'operator')
  return (
    <section className={waiting ? 'banner' : 'banner banner-quiet'} aria-label="Alarms">
      <IconAlertOctagon size={18} aria-hidden />
      <span>
        <strong>Alarm</strong>: {/* The age stands outside: an alert that changes is read aloud again. */}
        <span role="alert">{first.message}</span> ({relative(first.since)}
        {first.acknowledgedBy === null ? '' : `, acknowledged by ${first.acknowledgedBy}`})
      </span>
      {me.alarms.length > 1 || (mayAcknowledge && waiting) ? (
        <Button size="xs" variant="default" onClick={() => setOpen(true)}>
          {me.alarms.length > 1 ? `All ${me.alarms.length}` : 'Acknowledge'}
        </Button>
      ) : null}
      <Modal opened={open} onClose={() => setOpen(false)} title="Alarms" size="lg">
        <div className="stack">
          {me.alarms.map((alarm) => (
            <AlarmRow key={alarm.id} alarm={alarm} may={mayAcknowledge} />
          ))}
        </div>
      </Modal>
    </section>
  )
}

function AlarmRow({ alarm, may }: { alarm: Me['alarms'][number]; may: boolean }) {
  const [reason, setReason] = useState('')
  const acknowledge = useAct('POST /api/alarms/:id/acknowledge')
  return (
    <form
      className="alarm-row"
      onSubmit={(event) => {
        event.preventDefault()
        acknowledge.mutate({ params: { id: alarm.id }, body: { reason } })
      }}
    >
      <p>
        <strong>{alarm.message}</strong> <span className="dim">{relative(alarm.since)}</span>
        {alarm.acknowledgedBy === null ? null : (
          <span className="dim">, acknowledged by {alarm.acknowledgedBy}</span>
        )}
      </p>
      {may && alarm.acknowledgedBy === null ? (
        <div className="row">
          <TextInput
            className="grow"
            aria-label="Reason for acknowledging"
            placeholder="What you found and did"
            value={reason}
            onChange={(event) => setReason(event.currentTarget.value)}
            required
          />
          <Button type="submit" variant="default" loading={acknowledge.isPending}>
            Acknowledge
          </Button>
        </div>
      ) : null}
      {acknowledge.error ? <ErrorNote error={acknowledge.error} /> : null}
    </form>
  )
}
