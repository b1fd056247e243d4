import { Button, NativeSelect, TextInput } from '@mantine/core'
import { IconPlus } from '@tabler/icons-react'
import { useState } from 'react'
import { Link } from 'react-router'
import type { Answer } from '../shared/api.ts'
import { ChoiceField, dayOf, endOfDay, FormDialog, ReasonField, TextField } from '../shared/forms.tsx'
import { Empty, Page, Section, Shown, Status, TableFrame, When } from '../shared/kit.tsx'
import { Pager } from '../shared/pager.tsx'
import { useAct, useRead } from '../shared/query.ts'
import { viewerZone } from '../shared/time.ts'
import { useFilters } from '../shared/use-filters.ts'
import { ROLE } from '../shared/words.ts'
import { PersonForm } from './person-form.tsx'

type Vendor = Answer<'GET /api/vendors'>[number]

export function Component() {
  const filters = useFilters()
  const vendors = useRead('GET /api/vendors', {})
  const cursor = filters.get('cursor')
  const people = useRead(
    'GET /api/people',
    {
      query: {
        ...(filters.get('vendor') ? { vendorId: filters.get('vendor') } : {}),
        ...(filters.get('search') ? { search: filters.get('search') } : {}),
        ...(cursor ? { cursor } : {}),
      },
    },
    { keep: true },
  )
  const [adding, setAdding] = useState<'person' | 'vendor' | null>(null)
  const [editing, setEditing] = useState<Vendor | null>(null)
  return (
    <Page
      title="Vendors and people"
      actions={
        <>
          <Button variant="default" onClick={() => setAdding('vendor')}>
            Add vendor
          </Button>
          <Button leftSection={<IconPlus size={17} aria-hidden />} onClick={() => setAdding('person')}>
            Add person
          </Button>
        </>
      }
      wide
    >
      <Section title="Vendors">
        <Shown of={vendors}>
          {(list) =>
            list.length === 0 ? (
              <Empty title="No vendor yet">
                A vendor has a contract end and a sponsor in your house; both end its access.
              </Empty>
            ) : (
              <TableFrame
                label="Vendors"
                columns={['Vendor', 'Contract ends', 'Sponsor', 'Tier', 'People', 'State']}
                actions="Change"
              >
                <tbody>
                  {list.map((vendor) => (
                    <tr key={vendor.id}>
                      <td>
                        <strong>{vendor.name}</strong>
                      </td>
                      <td>
                        <When at={vendor.contractEndsAt} zone={viewerZone()} short />
                      </td>
                      <td>{vendor.sponsor.name}</td>
                      <td className="num-cell">{vendor.tier}</td>
                      <td className="num-cell">{vendor.people}</td>
                      <td>
                        <Status
                          tone={vendor.enabled ? 'normal' : 'quiet'}
                          word={vendor.enabled ? 'Enabled' : 'Disabled'}
                        />
                      </td>
                      <td>
                        <Button size="xs" variant="subtle" onClick={() => setEditing(vendor)}>
                          Change<span className="sr-only"> {vendor.name}</span>
                        </Button>
                      </td>
                    </tr>
                  ))}
                </tbody>
              </TableFrame>
            )
          }
        </Shown>
      </Section>
      <Section title="People">
        <div className="filters">
          <TextInput
            label="Search"
            placeholder="Name or e-mail"
            defaultValue={filters.get('search')}
            onChange={(event) => filters.setLater('search', event.currentTarget.value)}
          />
          <NativeSelect
            label="Vendor"
            value={filters.get('vendor')}
            onChange={(event) => filters.set('vendor', event.currentTarget.value)}
            data={[
              { value: '', label: 'Everybody' },
              ...(vendors.data ?? []).map((vendor) => ({ value: vendor.id, label: vendor.name })),
            ]}
          />
        </div>
        <Shown of={people}>
          {({ items, next }) =>
            items.length === 0 ? (
              <Empty title="Nobody matches">
                People of your identity provider appear at their first sign-in.
              </Empty>
            ) : (
              <>
                <TableFrame label="People" columns={['Name', 'Company', 'Roles', 'Last sign-in', 'State']}>
                  <tbody>
                    {items.map((person) => {
                      const waits =
                        person.roles.some((held) => held.role === 'approver') &&
                        person.passkeys.some((passkey) => !passkey.confirmedBy)
                      return (
                        <tr key={person.id}>
                          <td>
                            <Link to={`/admin/people/${person.id}?search=${encodeURIComponent(person.name)}`}>
                              {person.name}
                            </Link>
                            <div className="dim">{person.email}</div>
                          </td>
                          <td>{person.vendor?.name ?? <span className="dim">own</span>}</td>
                          <td>{[...new Set(person.roles.map((held) => ROLE[held.role]))].join(', ')}</td>
                          <td>
                            {person.lastSignInAt ? (
                              <When at={person.lastSignInAt} zone={viewerZone()} short />
                            ) : (
                              'never'
                            )}
                          </td>
                          <td>
                            {!person.enabled ? (
                              <Status tone="quiet" word="Disabled" />
                            ) : waits ? (
                              <Status tone="attention" word="Passkey to confirm" />
                            ) : (
                              <Status tone="normal" word="Enabled" />
                            )}
                          </td>
                        </tr>
                      )
                    })}
                  </tbody>
                </TableFrame>
                <Pager next={next} />
              </>
            )
          }
        </Shown>
      </Section>
      {adding === 'person' ? <PersonForm close={() => setAdding(null)} vendors={vendors.data ?? []} /> : null}
      {adding === 'vendor' ? <VendorForm vendor={null} close={() => setAdding(null)} /> : null}
      {editing ? <VendorForm vendor={editing} close={() => setEditing(null)} /> : null}
    </Page>
  )
}

function VendorForm({ vendor, close }: { vendor: Vendor | null; close: () => void }) {
  const people = useRead('GET /api/people', { query: {} })
  const [name, setName] = useState(vendor?.name ?? '')
  const [ends, setEnds] = useState(dayOf(vendor?.contractEndsAt ?? null))
  const [sponsor, setSponsor] = useState(vendor?.sponsor.id ?? '')
  const [tier, setTier] = useState<Vendor['tier']>(vendor?.tier ?? '2')
  const [enabled, setEnabled] = useState(vendor?.enabled ?? true)
  const [reason, setReason] = useState('')
  const add = useAct('POST /api/vendors', close)
  const change = useAct('PATCH /api/vendors/:id', close)
  const error = add.error ?? change.error
  const own = (people.data?.items ?? []).filter((person) => person.vendor === null)
  const sponsorId = sponsor || own[0]?.id || ''
  return (
    <FormDialog
      title={vendor ? `Change ${vendor.name}` : 'Add a vendor'}
      verb={vendor ? 'Save' : 'Add vendor'}
      opened
      close={close}
      busy={add.isPending || change.isPending}
      error={error}
      submit={() => {
        const contractEndsAt = endOfDay(ends)
        if (!contractEndsAt) return
        if (vendor)
          change.mutate({
            params: { id: vendor.id },
            body: { enabled, contractEndsAt, sponsorId, tier, reason },
          })
        else add.mutate({ body: { name, contractEndsAt, sponsorId, tier } })
      }}
    >
      {vendor ? null : <TextField label="Name" value={name} set={setName} required path="name" />}
      <TextField
        type="date"
        label="Contract ends"
        value={ends}
        set={setEnds}
        required
        path="contractEndsAt"
      />
      <ChoiceField
        label="Sponsor in your house"
        value={sponsorId}
        set={setSponsor}
        data={own.map((person) => ({ value: person.id, label: person.name }))}
        path="sponsorId"
      />
      <NativeSelect
        label="Tier"
        value={tier}
        onChange={(event) => setTier(event.currentTarget.value as Vendor['tier'])}
        data={['1', '2', '3']}
      />
      {vendor ? (
        <>
          <NativeSelect
            label="State"
            description="Disabling closes the connections of all its people within 5 seconds."
            value={enabled ? 'on' : 'off'}
            onChange={(event) => setEnabled(event.currentTarget.value === 'on')}
            data={[
              { value: 'on', label: 'Enabled' },
              { value: 'off', label: 'Disabled' },
            ]}
          />
          <ReasonField value={reason} set={setReason} />
        </>
      ) : null}
    </FormDialog>
  )
}
