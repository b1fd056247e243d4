import { Button, FileButton, NativeSelect, Textarea } from '@mantine/core'
import { useState } from 'react'
import { FormDialog, TextField } from '../shared/forms.tsx'
import {
  Empty,
  ErrorNote,
  fieldError,
  Note,
  Page,
  Section,
  Shown,
  Status,
  TableFrame,
  When,
} from '../shared/kit.tsx'
import { useAct, useRead } from '../shared/query.ts'
import { viewerZone, windowTimes } from '../shared/time.ts'
import { TICKET_STATE } from '../shared/words.ts'

export function Component() {
  const keys = useRead('GET /api/ticket-keys', {})
  const sites = useRead('GET /api/sites', {})
  const [adding, setAdding] = useState(false)
  const siteName = (id: string) => sites.data?.find((site) => site.id === id)?.name ?? ''
  return (
    <Page
      title="Tickets"
      lead="For sites whose change tickets come as signed files. A file counts only with a signature by a key registered here."
    >
      <Section
        title="Keys that sign ticket files"
        aside={
          <Button variant="default" onClick={() => setAdding(true)}>
            Register key
          </Button>
        }
      >
        <Shown of={keys}>
          {(list) =>
            list.length === 0 ? (
              <Empty title="No key yet">
                Ask the owner of the change process for the public key that signs their exports.
              </Empty>
            ) : (
              <TableFrame label="Ticket keys" columns={['Name', 'Site', 'Key id', 'Registered', 'State']}>
                <tbody>
                  {list.map((key) => (
                    <tr key={key.id}>
                      <td>{key.name}</td>
                      <td>{siteName(key.siteId)}</td>
                      <td className="mono small wrap-any">{key.kid}</td>
                      <td>
                        <When at={key.addedAt} zone={viewerZone()} short />
                      </td>
                      <td>
                        <Status
                          tone={key.enabled ? 'normal' : 'quiet'}
                          word={key.enabled ? 'Counts' : 'Disabled'}
                        />
                      </td>
                    </tr>
                  ))}
                </tbody>
              </TableFrame>
            )
          }
        </Shown>
      </Section>
      <TicketFile sites={sites.data ?? []} />
      {adding ? <KeyForm sites={sites.data ?? []} close={() => setAdding(false)} /> : null}
    </Page>
  )
}

interface SiteName {
  id: string
  name: string
  timeZone: string
}

function TicketFile({ sites }: { sites: SiteName[] }) {
  const [site, setSite] = useState('')
  const [problem, setProblem] = useState<string | null>(null)
  const hand = useAct('POST /api/ticket-files')
  const siteId = site || sites[0]?.id || ''
  const zone = sites.find((entry) => entry.id === siteId)?.timeZone ?? viewerZone()
  const take = async (file: File | null) => {
    if (!file) return
    if (file.size > 1_000_000) {
      setProblem('The file is larger than 1 MB.')
      return
    }
    setProblem(null)
    hand.mutate({ body: { siteId, jws: (await file.text()).trim() } })
  }
  return (
    <Section title="Hand in a ticket file">
      <div className="panel stack">
        <div className="row" style={{ alignItems: 'flex-end' }}>
          <NativeSelect
            label="Site"
            value={siteId}
            onChange={(event) => setSite(event.currentTarget.value)}
            data={sites.map((entry) => ({ value: entry.id, label: entry.name }))}
          />
          <FileButton onChange={(file) => void take(file)}>
            {(props) => (
              <Button {...props} loading={hand.isPending}>
                Choose signed file
              </Button>
            )}
          </FileButton>
        </div>
        <p className="dim small">A compact JWS over CSV or JSON, 1 MB at most.</p>
        {problem ? <Note tone="attention">{problem}</Note> : null}
        {hand.error ? <ErrorNote error={hand.error} /> : null}
        {hand.data ? (
          <div className="stack-tight">
            <p>
              <strong>{hand.data.tickets.length} tickets taken.</strong>
            </p>
            <ul className="list">
              {hand.data.tickets.map((ticket) => (
                <li key={ticket.key} className="list-row">
                  <div className="list-row-head">
                    <span className="list-title">
                      {ticket.key}: {ticket.title}
                    </span>
                    <Status
                      tone={ticket.state === 'approved' ? 'normal' : 'quiet'}
                      word={TICKET_STATE[ticket.state]}
                    />
                  </div>
                  <span className="dim">
                    {ticket.plannedStart && ticket.plannedEnd
                      ? windowTimes(ticket.plannedStart, ticket.plannedEnd, zone).text
                      : 'no planned time'}{' '}
                    · {ticket.items.join(', ')}
                  </span>
                </li>
              ))}
            </ul>
          </div>
        ) : null}
      </div>
    </Section>
  )
}

function KeyForm({ sites, close }: { sites: SiteName[]; close: () => void }) {
  const [site, setSite] = useState('')
  const [name, setName] = useState('')
  const [text, setText] = useState('')
  const [problem, setProblem] = useState<string | undefined>(undefined)
  const add = useAct('POST /api/ticket-keys', close)
  const siteId = site || sites[0]?.id || ''
  return (
    <FormDialog
      title="Register a key"
      verb="Register key"
      opened
      close={close}
      busy={add.isPending}
      error={add.error}
      submit={() => {
        const jwk = publicJwk(text)
        setProblem(typeof jwk === 'string' ? jwk : undefined)
        if (typeof jwk !== 'string') add.mutate({ body: { siteId, name, jwk } })
      }}
    >
      <NativeSelect
        label="Site"
        value={siteId}
        onChange={(event) => setSite(event.currentTarget.value)}
        data={sites.map((entry) => ({ value: entry.id, label: entry.name }))}
      />
      <TextField
        label="Name"
        placeholder="Change management export, 2026"
        value={name}
        set={setName}
        required
        maxLength={80}
        path="name"
      />
      <Textarea
        label="Public key (JWK)"
        value={text}
        onChange={(event) => setText(event.currentTarget.value)}
        required
        autosize
        minRows={4}
        spellCheck={false}
        classNames={{ input: 'mono' }}
        error={problem ?? fieldError(add.error, 'jwk')}
      />
    </FormDialog>
  )
}

/** The public key, or a sentence about what is wrong. A private one is refused here: it should not travel. */
function publicJwk(text: string): { kty: string } | string {
  try {
    const value: unknown = JSON.parse(text)
    if (typeof value !== 'object' || value === null || !('kty' in value) || typeof value.kty !== 'string')
      return 'This is not a JSON Web Key.'
    if ('d' in value)
      return 'This is a private key. Paste the public one, and replace the private one: it was shown.'
    return { ...value, kty: value.kty }
  } catch {
    return 'This is not JSON.'
  }
}
