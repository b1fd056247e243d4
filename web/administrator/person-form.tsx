import { Button, Modal, NativeSelect } from '@mantine/core'
import { useState } from 'react'
import type { Role } from '../../broker/domain/words.ts'
import type { Answer } from '../shared/api.ts'
import { ChoiceField, endOfDay, FormDialog, TextField } from '../shared/forms.tsx'
import { ShownOnce } from '../shared/kit.tsx'
import { useAct, useRead } from '../shared/query.ts'
import { ROLE } from '../shared/words.ts'

type Vendor = Answer<'GET /api/vendors'>[number]
export interface HeldRole {
  role: Role
  siteId: string | null
}

export function PersonForm({ close, vendors }: { close: () => void; vendors: Vendor[] }) {
  const [name, setName] = useState('')
  const [email, setEmail] = useState('')
  const [vendor, setVendor] = useState('')
  const [ends, setEnds] = useState('')
  const [training, setTraining] = useState('')
  const [roles, setRoles] = useState<HeldRole[]>([])
  const add = useAct('POST /api/people')
  if (add.data)
    return (
      <Modal opened onClose={close} title={`${add.data.person.name} is added`} closeOnClickOutside={false}>
        <div className="stack">
          <ShownOnce
            label="One-time set-up link"
            value={add.data.setUpLink}
            hint="Shown only now. It works once. Hand it over in person or by a channel that you trust."
          />
          <Button onClick={close}>Done</Button>
        </div>
      </Modal>
    )
  return (
    <FormDialog
      title="Add a person"
      verb="Add person"
      opened
      close={close}
      busy={add.isPending}
      error={add.error}
      wide
      submit={() =>
        add.mutate({
          body: {
            name,
            email: email.trim() || null,
            vendorId: vendor || null,
            accountEndsAt: endOfDay(ends),
            trainingValidUntil: endOfDay(training),
            roles,
          },
        })
      }
    >
      <p className="dim">For people without an identity provider. They sign in with a passkey.</p>
      <div className="form-pair">
        <TextField label="Name" value={name} set={setName} required path="name" />
        <TextField label="E-mail, if any" type="email" value={email} set={setEmail} path="email" />
        <ChoiceField
          label="Company"
          value={vendor}
          set={setVendor}
          data={[
            { value: '', label: 'Our own' },
            ...vendors.map((entry) => ({ value: entry.id, label: entry.name })),
          ]}
          path="vendorId"
        />
        <TextField type="date" label="Account ends" value={ends} set={setEnds} path="accountEndsAt" />
        <TextField
          type="date"
          label="Training valid until"
          value={training}
          set={setTraining}
          path="trainingValidUntil"
        />
      </div>
      <RolePicker roles={roles} set={setRoles} vendor={vendor !== ''} />
    </FormDialog>
  )
}

/** Roles are held per site; only an administrator may hold theirs for the whole installation. */
export function RolePicker(props: { roles: HeldRole[]; set: (roles: HeldRole[]) => void; vendor: boolean }) {
  const sites = useRead('GET /api/sites', {})
  const [role, setRole] = useState<Role>(props.vendor ? 'vendor' : 'approver')
  const [site, setSite] = useState('')
  const offered = (Object.keys(ROLE) as Role[]).filter((entry) => (entry === 'vendor') === props.vendor)
  const chosen = offered.includes(role) ? role : (offered[0] ?? 'vendor')
  const list = sites.data ?? []
  const everywhere = chosen === 'administrator'
  const siteId = site || (everywhere ? '' : (list[0]?.id ?? ''))
  const siteName = (id: string | null) =>
    id === null ? 'whole installation' : (list.find((entry) => entry.id === id)?.name ?? id)
  return (
    <fieldset>
      <legend>Roles</legend>
      <div className="stack">
        {props.roles.map((held) => (
          <div key={`${held.role}${held.siteId}`} className="row row-between panel panel-tight">
            <span>
              {ROLE[held.role]}, {siteName(held.siteId)}
            </span>
            <Button
              size="xs"
              variant="subtle"
              onClick={() => props.set(props.roles.filter((other) => other !== held))}
            >
              Take away
            </Button>
          </div>
        ))}
        <div className="row" style={{ alignItems: 'flex-end' }}>
          <NativeSelect
            label="Role"
            className="grow"
            value={chosen}
            onChange={(event) => {
              setRole(event.currentTarget.value as Role)
              setSite('')
            }}
            data={offered.map((value) => ({ value, label: ROLE[value] }))}
          />
          <NativeSelect
            label="At"
            className="grow"
            value={siteId}
            onChange={(event) => setSite(event.currentTarget.value)}
            data={[
              ...(everywhere ? [{ value: '', label: 'Whole installation' }] : []),
              ...list.map((entry) => ({ value: entry.id, label: entry.name })),
            ]}
          />
          <Button
            variant="default"
            disabled={!everywhere && !siteId}
            onClick={() => {
              const next = { role: chosen, siteId: siteId || null }
              if (!props.roles.some((held) => held.role === next.role && held.siteId === next.siteId))
                props.set([...props.roles, next])
            }}
          >
            Add role
          </Button>
        </div>
      </div>
    </fieldset>
  )
}
