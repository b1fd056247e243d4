import { Button, Modal, TextInput } from '@mantine/core'
import { useState } from 'react'
import { useParams, useSearchParams } from 'react-router'
import type { Answer } from '../shared/api.ts'
import { dayOf, endOfDay, FormDialog, ReasonField, TextField } from '../shared/forms.tsx'
import {
  Empty,
  ErrorNote,
  Fact,
  Facts,
  Page,
  Section,
  Shown,
  ShownOnce,
  Status,
  When,
} from '../shared/kit.tsx'
import { useAct, useRead } from '../shared/query.ts'
import { viewerZone } from '../shared/time.ts'
import { ROLE } from '../shared/words.ts'
import { type HeldRole, RolePicker } from './person-form.tsx'

type Person = Answer<'GET /api/people'>['items'][number]

export function Component() {
  const { id = '' } = useParams()
  // There is no route for one person: the link carries the name, and the list is searched by it.
  const [search] = useSearchParams()
  const name = search.get('search')
  const people = useRead('GET /api/people', { query: name ? { search: name } : {} })
  return (
    <Shown of={people}>
      {({ items }) => {
        const person = items.find((entry) => entry.id === id)
        return person ? (
          <PersonPage person={person} />
        ) : (
          <Page title="Person">
            <Empty title="Not found here">Go back to the list and search by name.</Empty>
          </Page>
        )
      }}
    </Shown>
  )
}

function PersonPage({ person }: { person: Person }) {
  const sites = useRead('GET /api/sites', {})
  const [open, setOpen] = useState<'edit' | 'switch' | 'link' | null>(null)
  const close = () => setOpen(null)
  const zone = viewerZone()
  const confirm = useAct('POST /api/people/:id/passkeys/:passkeyId/confirm')
  return (
    <Page
      title={person.name}
      lead={person.vendor?.name}
      actions={
        <>
          <Button variant="default" onClick={() => setOpen('link')}>
            New set-up link
          </Button>
          <Button variant="default" onClick={() => setOpen('switch')}>
            {person.enabled ? 'Disable' : 'Enable'}
          </Button>
          <Button onClick={() => setOpen('edit')}>Change</Button>
        </>
      }
    >
      <div className="panel">
        <Facts>
          <Fact name="State">
            <Status
              tone={person.enabled ? 'normal' : 'quiet'}
              word={person.enabled ? 'Enabled' : 'Disabled'}
            />
          </Fact>
          <Fact name="E-mail">{person.email ?? 'none'}</Fact>
          <Fact name="Account">
            <span className="mono small wrap-any">
              {person.issuer} {person.subject}
            </span>
          </Fact>
          <Fact name="Account ends">
            {person.accountEndsAt ? <When at={person.accountEndsAt} zone={zone} /> : 'no end'}
          </Fact>
          <Fact name="Training">
            {person.trainingValidUntil ? (
              <>
                ends <When at={person.trainingValidUntil} zone={zone} />
              </>
            ) : (
              'none kept'
            )}
          </Fact>
          <Fact name="Roles">
            <ul>
              {person.roles.map((held) => (
                <li key={`${held.role}${held.siteId}`}>
                  {ROLE[held.role]},{' '}
                  {held.siteId === null
                    ? 'whole installation'
                    : (sites.data?.find((site) => site.id === held.siteId)?.name ?? held.siteId)}
                </li>
              ))}
            </ul>
          </Fact>
          <Fact name="Last sign-in">
            {person.lastSignInAt ? <When at={person.lastSignInAt} zone={zone} /> : 'never'}
          </Fact>
        </Facts>
      </div>
      <Section title="Passkeys">
        <p className="dim">
          A passkey signs approvals only after somebody other than its owner confirmed it: ask the person,
          face to face or by a known number, whether it is theirs.
        </p>
        {confirm.error ? <ErrorNote error={confirm.error} /> : null}
        {person.passkeys.length === 0 ? <p className="dim">No passkey.</p> : null}
        <ul className="list">
          {person.passkeys.map((passkey) => (
            <li key={passkey.id} className="list-row">
              <div className="list-row-head">
                <span className="list-title">{passkey.label}</span>
                {passkey.confirmedBy ? (
                  <Status tone="normal" word={`Confirmed by ${passkey.confirmedBy}`} />
                ) : (
                  <span className="row">
                    <Status tone="attention" word="Not confirmed" />
                    <Button
                      size="xs"
                      loading={confirm.isPending}
                      onClick={() =>
                        confirm.mutate({ params: { id: person.id, passkeyId: passkey.id }, body: {} })
                      }
                    >
                      Confirm
                    </Button>
                  </span>
                )}
              </div>
              <span className="dim">
                Added <When at={passkey.createdAt} zone={zone} />
              </span>
            </li>
          ))}
        </ul>
      </Section>
      {open === 'edit' ? <EditPerson person={person} close={close} /> : null}
      {open === 'switch' ? <SwitchPerson person={person} close={close} /> : null}
      {open === 'link' ? <NewLink person={person} close={close} /> : null}
    </Page>
  )
}

function EditPerson({ person, close }: { person: Person; close: () => void }) {
  const [name, setName] = useState(person.name)
  const [ends, setEnds] = useState(dayOf(person.accountEndsAt))
  const [training, setTraining] = useState(dayOf(person.trainingValidUntil))
  const [roles, setRoles] = useState<HeldRole[]>(person.roles)
  const [reason, setReason] = useState('')
  const change = useAct('PATCH /api/people/:id', close)
  return (
    <FormDialog
      title={`Change ${person.name}`}
      verb="Save"
      opened
      close={close}
      busy={change.isPending}
      error={change.error}
      wide
      submit={() =>
        change.mutate({
          params: { id: person.id },
          body: {
            name,
            accountEndsAt: endOfDay(ends),
            trainingValidUntil: endOfDay(training),
            roles,
            reason,
          },
        })
      }
    >
      <div className="form-pair">
        <TextField label="Name" value={name} set={setName} required path="name" />
        <TextInput
          type="date"
          label="Account ends"
          value={ends}
          onChange={(event) => setEnds(event.currentTarget.value)}
        />
        <TextInput
          type="date"
          label="Training valid until"
          value={training}
          onChange={(event) => setTraining(event.currentTarget.value)}
        />
      </div>
      <RolePicker roles={roles} set={setRoles} vendor={person.vendor !== null} />
      <ReasonField value={reason} set={setReason} />
    </FormDialog>
  )
}

function SwitchPerson({ person, close }: { person: Person; close: () => void }) {
  const [reason, setReason] = useState('')
  const change = useAct('PATCH /api/people/:id', close)
  return (
    <FormDialog
      title={`${person.enabled ? 'Disable' : 'Enable'} ${person.name}?`}
      verb={person.enabled ? 'Disable now' : 'Enable'}
      opened
      close={close}
      busy={change.isPending}
      error={change.error}
      danger={person.enabled}
      submit={() => change.mutate({ params: { id: person.id }, body: { enabled: !person.enabled, reason } })}
    >
      {person.enabled ? (
        <p>
          Every connection of this person closes within 5 seconds; a running session ends by the asset's rule.
        </p>
      ) : null}
      <ReasonField value={reason} set={setReason} />
    </FormDialog>
  )
}

function NewLink({ person, close }: { person: Person; close: () => void }) {
  const [reason, setReason] = useState('')
  const make = useAct('POST /api/people/:id/set-up-link')
  if (make.data)
    return (
      <Modal opened onClose={close} title={`Set-up link for ${person.name}`} closeOnClickOutside={false}>
        <ShownOnce
          label="One-time set-up link"
          value={make.data.setUpLink}
          hint="Shown only now. It works once, and replaces any link made before."
        />
      </Modal>
    )
  return (
    <FormDialog
      title={`New set-up link for ${person.name}`}
      verb="Make link"
      opened
      close={close}
      busy={make.isPending}
      error={make.error}
      submit={() => make.mutate({ params: { id: person.id }, body: { reason } })}
    >
      <p className="dim">
        With it the person adds a passkey. Whoever has the link can: be sure whom you give it to.
      </p>
      <TextField
        label="Reason"
        placeholder="Lost phone, identity checked in person"
        value={reason}
        set={setReason}
        required
        path="reason"
      />
    </FormDialog>
  )
}
