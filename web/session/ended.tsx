import { Button, Textarea } from '@mantine/core'
import { useState } from 'react'
import { Link } from 'react-router'
import { ErrorNote, fieldError, Note } from '../shared/kit.tsx'
import { useAct } from '../shared/query.ts'
import type { Session } from '../shared/session-status.tsx'
import { AFTER_END, yourEnd } from '../shared/words.ts'
import type { SessionPage } from './session-state.ts'

const BECAUSE = {
  replaced: ['This session is open in another window', 'The newest window has it. This one is quiet now.'],
  revoked: ['Your access was withdrawn', 'The site closed your connection. Call your contact there.'],
  refused: ['The session cannot be shown', ''],
} as const

/** The end: why, what to do, and the line on what was changed. */
export function Ended({ id, page, session }: { id: string; page: SessionPage; session: Session | null }) {
  const key = `sallyport-notes-${id}`
  const [text, setText] = useState(() => sessionStorage.getItem(key) ?? '')
  const note = useAct('POST /api/sessions/:id/closing-note', () => sessionStorage.removeItem(key))
  const end = page.end ?? session?.end ?? null
  const written = note.data?.closingNote ?? session?.closingNote ?? null
  const [title, sentence] = page.closedBecause
    ? [BECAUSE[page.closedBecause][0], BECAUSE[page.closedBecause][1] || (page.message ?? '')]
    : [
        end ? yourEnd(end) : 'The session is over',
        // Of an end of their own making the title says it all; the gateway's sentence speaks about them, not to them.
        (end === 'vendor-left' || end === 'identity-revoked'
          ? null
          : (page.message ?? session?.endMessage)) ?? 'The recording is sealed and kept for the site.',
      ]
  return (
    <div style={{ flex: 1, overflowY: 'auto', background: 'var(--sp-page)', color: 'var(--sp-text)' }}>
      <div className="page" style={{ maxWidth: '44rem', margin: '0 auto' }}>
        <h2 style={{ fontSize: '1.25rem' }}>{title}</h2>
        <p>{sentence}</p>
        {end && AFTER_END[end] ? <Note tone="normal">{AFTER_END[end]}</Note> : null}
        {page.closedBecause ? null : written ? (
          <div className="panel stack-tight">
            <h3>What was changed</h3>
            <p>{written}</p>
            <p className="dim">Handed in. The site, the auditor and the ticket have it.</p>
          </div>
        ) : (
          <form
            className="panel stack"
            onSubmit={(event) => {
              event.preventDefault()
              note.mutate({ params: { id }, body: { text: text.trim() } })
            }}
          >
            <Textarea
              label="What was changed"
              description="One line. The site, the auditor and the ticket get it. Nothing changed? Say so."
              placeholder="Spindle drive firmware 4.2.1 to 4.3.0, parameters restored, test run without alarms"
              value={text}
              onChange={(event) => setText(event.currentTarget.value)}
              required
              minLength={3}
              maxLength={500}
              autosize
              minRows={2}
              error={fieldError(note.error, 'text')}
              data-autofocus
            />
            {note.error ? <ErrorNote error={note.error} /> : null}
            <div className="row">
              <Button type="submit" loading={note.isPending} disabled={text.trim().length < 3}>
                Hand in
              </Button>
            </div>
          </form>
        )}
        <div className="row">
          <Button component={Link} to="/work" variant="default">
            My work
          </Button>
          {page.closedBecause === 'replaced' ? (
            <Button onClick={() => window.location.reload()}>Take it back into this window</Button>
          ) : null}
        </div>
      </div>
    </div>
  )
}
