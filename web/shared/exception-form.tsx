import { Checkbox, NativeSelect } from '@mantine/core'
import { useState } from 'react'
import type { ExceptionKind } from '../../broker/domain/words.ts'
import type { Answer } from './api.ts'
import { AreaField, ChoiceField, dayOf, endOfDay, FormDialog, TextField } from './forms.tsx'
import { fieldError, Note } from './kit.tsx'
import { useAct, useRead } from './query.ts'
import { DEVIATION, PROTOCOL } from './words.ts'

type Asset = Answer<'GET /api/assets/:id'>
type Endpoint = Asset['endpoints'][number]

/** An endpoint that lacks something, with its asset. */
export interface Deviating {
  asset: Pick<Asset, 'id' | 'name' | 'site'>
  endpoint: Pick<Endpoint, 'id' | 'protocol' | 'port' | 'deviations'>
}

/** Endpoints that lack something, those without an open exception first. */
export function deviating(assets: readonly Asset[]): Deviating[] {
  return assets
    .flatMap((asset) => asset.endpoints.map((endpoint) => ({ asset, endpoint })))
    .filter(({ endpoint }) => endpoint.deviations.length > 0)
    .sort((a, b) => Number(uncovered(b.endpoint).length > 0) - Number(uncovered(a.endpoint).length > 0))
}

/** What an endpoint lacks without an open exception for it. */
export const uncovered = (endpoint: Pick<Endpoint, 'deviations'>): ExceptionKind[] =>
  endpoint.deviations.filter(({ exception }) => exception?.state !== 'open').map(({ kind }) => kind)

const DAY_MS = 86_400_000

/** Opens exceptions for an endpoint: for all that it lacks at once, unless the person takes some away. */
export function ExceptionForm({ choices, close }: { choices: readonly Deviating[]; close: () => void }) {
  const [endpointId, setEndpointId] = useState(choices[0]?.endpoint.id ?? '')
  const chosen = choices.find(({ endpoint }) => endpoint.id === endpointId)
  const open = chosen ? uncovered(chosen.endpoint) : []
  const [picked, setPicked] = useState<ExceptionKind[] | null>(null)
  const kinds =
    picked ?? (open.length > 0 ? open : (chosen?.endpoint.deviations.map(({ kind }) => kind) ?? []))
  const [reason, setReason] = useState('')
  const [control, setControl] = useState('')
  const [owner, setOwner] = useState('')
  const [until, setUntil] = useState(dayOf(new Date(Date.now() + 90 * DAY_MS).toISOString()))
  const siteId = chosen?.asset.site.id ?? ''
  const owners = useRead('GET /api/exceptions/owners', { query: { siteId } }, { enabled: siteId !== '' })
  const add = useAct('POST /api/exceptions', close)
  return (
    <FormDialog
      title="Open an exception"
      verb="Open exception"
      opened
      close={close}
      busy={add.isPending}
      error={add.error}
      submit={() =>
        add.mutate({
          body: {
            endpointId,
            kinds,
            reason,
            compensatingControl: control,
            ownerId: owner,
            expiresAt: endOfDay(until) ?? '',
          },
        })
      }
    >
      {choices.length > 1 ? (
        <NativeSelect
          label="Endpoint"
          value={endpointId}
          onChange={(event) => {
            setEndpointId(event.currentTarget.value)
            setPicked(null)
            setOwner('')
          }}
          data={choices.map((choice) => ({ value: choice.endpoint.id, label: nameOf(choice) }))}
        />
      ) : chosen ? (
        <p>
          <strong>{nameOf(chosen)}</strong>
        </p>
      ) : null}
      <fieldset>
        <legend>What it lacks</legend>
        <div className="stack-tight">
          {chosen?.endpoint.deviations.map(({ kind, exception }) => (
            <Checkbox
              key={kind}
              label={DEVIATION[kind].name}
              description={
                exception?.state === 'open'
                  ? `${DEVIATION[kind].means} An exception is open; the new one takes its place.`
                  : DEVIATION[kind].means
              }
              checked={kinds.includes(kind)}
              onChange={(event) =>
                setPicked(
                  event.currentTarget.checked ? [...kinds, kind] : kinds.filter((other) => other !== kind),
                )
              }
            />
          ))}
        </div>
        {fieldError(add.error, 'kinds') ? (
          <p className="field-error">{fieldError(add.error, 'kinds')}</p>
        ) : null}
      </fieldset>
      <AreaField
        label="Reason"
        description="Why it cannot be better now."
        placeholder="The panel's firmware has no encryption; its successor comes with the line's refit in spring"
        value={reason}
        set={setReason}
        required
        autosize
        minRows={2}
        maxLength={500}
        path="reason"
      />
      <AreaField
        label="Compensating control"
        description="What stands against it meanwhile. Every approver reads this before signing."
        placeholder="The panel is in a network of its own with the gateway; nothing else has a port there"
        value={control}
        set={setControl}
        required
        autosize
        minRows={2}
        maxLength={500}
        path="compensatingControl"
      />
      <ChoiceField
        label="Owner"
        description="Who answers for it."
        required
        value={owner}
        set={setOwner}
        data={[
          { value: '', label: 'Choose a person' },
          ...(owners.data ?? []).map((person) => ({ value: person.id, label: person.name })),
        ]}
        path="ownerId"
      />
      <TextField
        label="Until, end of the day"
        description="Twelve months at most."
        type="date"
        min={dayOf(new Date().toISOString())}
        max={lastDay()}
        value={until}
        set={setUntil}
        required
        path="expiresAt"
      />
      <Note tone="quiet">
        Nobody gets in without it. Sessions end when it does, by the rule of their asset.
      </Note>
    </FormDialog>
  )
}

const nameOf = ({ asset, endpoint }: Deviating) =>
  `${asset.name}, ${PROTOCOL[endpoint.protocol]} port ${endpoint.port}`

/** The last whole day within twelve months. */
function lastDay(): string {
  const day = new Date()
  day.setMonth(day.getMonth() + 12)
  return dayOf(new Date(day.getTime() - DAY_MS).toISOString())
}
