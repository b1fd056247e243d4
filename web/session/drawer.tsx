import { Button, NativeSelect, Textarea, TextInput } from '@mantine/core'
import { IconX } from '@tabler/icons-react'
import { useEffect, useRef, useState } from 'react'
import type { Answer } from '../shared/api.ts'
import { ErrorNote, Fact, Facts, fieldError, Instant, Note, Status } from '../shared/kit.tsx'
import { useAct, useRead } from '../shared/query.ts'
import type { Session } from '../shared/session-status.tsx'
import { FEATURE_SHORT } from '../shared/words.ts'

type Extension = Answer<'GET /api/extensions'>[number]

/** Ticket, more time, notes. Beside the work, never over it. */
export function SessionDrawer(props: {
  id: string
  session: Session | null
  asking: boolean
  close: () => void
}) {
  const { id, session } = props
  const heading = useRef<HTMLHeadingElement>(null)
  useEffect(() => {
    if (!props.asking) heading.current?.focus()
  }, [props.asking])
  return (
    <aside
      className="session-drawer"
      aria-label="Ticket, time and notes"
      onKeyDown={(event) => {
        if (event.key === 'Escape') props.close()
      }}
    >
      <div className="row row-between">
        <h2 ref={heading} tabIndex={-1}>
          {session?.ticketKey ?? 'Ticket'}
        </h2>
        <Button
          variant="subtle"
          size="xs"
          onClick={props.close}
          leftSection={<IconX size={16} aria-hidden />}
        >
          Close
        </Button>
      </div>
      {session ? (
        <Facts>
          <Fact name="Purpose">{session.purpose}</Fact>
          <Fact name="Asset">
            {session.asset.name}, {session.asset.zone}
          </Fact>
          <Fact name="Ends">
            <Instant at={session.permitEndsAt} zone={session.asset.site.timeZone} />
          </Fact>
          <Fact name="Clipboard">
            {session.features.length > 0
              ? session.features.map((feature) => FEATURE_SHORT[feature]).join(', ')
              : 'not approved'}
          </Fact>
        </Facts>
      ) : null}
      <MoreTime id={id} session={session} focus={props.asking} />
      <Notes id={id} />
    </aside>
  )
}

function MoreTime({ id, session, focus }: { id: string; session: Session | null; focus: boolean }) {
  const [minutes, setMinutes] = useState('30')
  const [reason, setReason] = useState('')
  const field = useRef<HTMLInputElement>(null)
  const asked = useRead('GET /api/extensions', { query: { sessionId: id } }, { live: true })
  const ask = useAct('POST /api/sessions/:id/extension', () => setReason(''))
  useEffect(() => {
    if (focus) field.current?.focus()
  }, [focus])
  const waiting = asked.data?.some((extension) => extension.state === 'waiting') ?? false
  return (
    <section className="stack" aria-labelledby="more-time">
      <h2 id="more-time">More time</h2>
      {asked.data?.map((extension) => (
        <ExtensionLine
          key={extension.id}
          extension={extension}
          zone={session?.asset.site.timeZone ?? 'UTC'}
        />
      ))}
      {waiting ? null : (
        <form
          className="stack"
          onSubmit={(event) => {
            event.preventDefault()
            ask.mutate({ params: { id }, body: { minutes: Number(minutes), reason } })
          }}
        >
          <NativeSelect
            label="How much"
            value={minutes}
            onChange={(event) => setMinutes(event.currentTarget.value)}
            data={['15', '30', '60', '120'].map((value) => ({ value, label: `${value} minutes` }))}
            error={fieldError(ask.error, 'minutes')}
          />
          <TextInput
            ref={field}
            label="Why"
            placeholder="Firmware transfer still runs, 60% done"
            value={reason}
            onChange={(event) => setReason(event.currentTarget.value)}
            required
            maxLength={500}
            error={fieldError(ask.error, 'reason')}
          />
          {ask.error ? <ErrorNote error={ask.error} /> : null}
          <Button type="submit" loading={ask.isPending}>
            Ask the approver
          </Button>
        </form>
      )}
    </section>
  )
}

function ExtensionLine({ extension, zone }: { extension: Extension; zone: string }) {
  const word = {
    waiting: `Asked for ${extension.minutes} minutes: waits for an approver`,
    // The ticket's end may have cut what was asked for; the new end stands below.
    granted: 'More time given',
    declined: `${extension.minutes} more minutes declined`,
    expired: 'Nobody answered in time',
  }[extension.state]
  return (
    <div className="stack-tight">
      <Status tone={extension.state === 'granted' ? 'normal' : 'attention'} word={word} />
      {extension.state === 'granted' ? (
        <span className="dim">
          New end: <Instant at={extension.newEnd} zone={zone} />
        </span>
      ) : null}
    </div>
  )
}

/** Notes for oneself, kept in this tab; they become the line on what was changed, at the end. */
function Notes({ id }: { id: string }) {
  const key = `sallyport-notes-${id}`
  const [text, setText] = useState(() => sessionStorage.getItem(key) ?? '')
  return (
    <section className="stack" aria-labelledby="notes">
      <h2 id="notes">Notes</h2>
      <Textarea
        aria-labelledby="notes"
        placeholder="What you changed, while you remember it"
        autosize
        minRows={4}
        maxLength={500}
        value={text}
        onChange={(event) => {
          setText(event.currentTarget.value)
          sessionStorage.setItem(key, event.currentTarget.value)
        }}
      />
      <Note tone="quiet">Only in this browser tab, until you hand them in at the end.</Note>
    </section>
  )
}
