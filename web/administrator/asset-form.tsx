import { Checkbox, NativeSelect } from '@mantine/core'
import { useState } from 'react'
import type { AssetType, Criticality, EndingMode } from '../../broker/domain/words.ts'
import type { Answer } from '../shared/api.ts'
import { AreaField, ChoiceField, dayOf, endOfDay, FormDialog, TextField } from '../shared/forms.tsx'
import { fieldError } from '../shared/kit.tsx'
import { useAct, useRead } from '../shared/query.ts'
import { ASSET_TYPE, CRITICALITY, ENDING } from '../shared/words.ts'

type Asset = Answer<'GET /api/assets/:id'>
const SCORES = ['safety', 'availability', 'integrity', 'confidentiality', 'regulatory'] as const
const SCORE_WORD = {
  safety: 'Safety of people',
  availability: 'Standstill',
  integrity: 'Wrong values',
  confidentiality: 'Secrets lost',
  regulatory: 'Breach of rules',
}
const LEVEL = ['0 none', '1 small', '2 moderate', '3 severe', '4 extreme']
const LONGEST: Record<EndingMode, number> = { 'operator-confirm': 1800, grace: 600, cut: 0 }

export function AssetForm(props: { asset: Asset | null; close: () => void; done: (asset: Asset) => void }) {
  const { asset } = props
  const sites = useRead('GET /api/sites', {})
  const zones = useRead('GET /api/zones', {})
  const [site, setSite] = useState(asset?.site.id ?? '')
  const [zone, setZone] = useState(asset?.zone.id ?? '')
  const [name, setName] = useState(asset?.name ?? '')
  const [description, setDescription] = useState(asset?.description ?? '')
  const [type, setType] = useState<AssetType>(asset?.type ?? 'plc')
  const [criticality, setCriticality] = useState<Criticality>(asset?.criticality ?? 'C3')
  const [owner, setOwner] = useState(asset?.owner ?? '')
  const [address, setAddress] = useState(asset?.address ?? '')
  const [hazard, setHazard] = useState(asset?.hazard ?? '')
  const [controls, setControls] = useState(asset?.compensatingControls ?? '')
  const [verified, setVerified] = useState(dayOf(asset?.lastVerifiedAt ?? null))
  const [ending, setEnding] = useState<EndingMode | ''>(asset?.ending.mode ?? '')
  const [scores, setScores] = useState<Asset['consequence']>(
    asset?.consequence ?? { safety: 0, availability: 0, integrity: 0, confidentiality: 0, regulatory: 0 },
  )
  const finish = (saved: Asset) => {
    props.close()
    props.done(saved)
  }
  const add = useAct('POST /api/assets', finish)
  const change = useAct('PUT /api/assets/:id', finish)
  const error = add.error ?? change.error
  const siteId = site || sites.data?.[0]?.id || ''
  const here = (zones.data ?? []).filter((entry) => entry.siteId === siteId)
  const zoneId = here.some((entry) => entry.id === zone) ? zone : (here[0]?.id ?? '')
  const submit = () => {
    const body = {
      siteId,
      zoneId,
      name,
      description,
      type,
      criticality,
      owner,
      address: address.trim(),
      consequence: scores,
      hazard,
      compensatingControls: controls,
      lastVerifiedAt: endOfDay(verified),
      ...(ending
        ? {
            ending: {
              mode: ending,
              holdSeconds: LONGEST[ending],
              inputDuringGrace: asset?.ending.inputDuringGrace ?? false,
            },
          }
        : {}),
    }
    if (asset) change.mutate({ params: { id: asset.id }, body })
    else add.mutate({ body })
  }
  return (
    <FormDialog
      title={asset ? `Change ${asset.name}` : 'Add an asset'}
      verb={asset ? 'Save' : 'Add asset'}
      opened
      close={props.close}
      busy={add.isPending || change.isPending}
      error={error}
      submit={submit}
      wide
    >
      <TextField
        label="Name in words"
        placeholder="Robot cell 4, controller"
        value={name}
        set={setName}
        required
        path="name"
      />
      <TextField
        label="Description"
        value={description}
        set={setDescription}
        maxLength={500}
        path="description"
      />
      <div className="form-pair">
        <ChoiceField
          label="Site"
          value={siteId}
          set={setSite}
          data={(sites.data ?? []).map((entry) => ({ value: entry.id, label: entry.name }))}
          path="siteId"
        />
        <ChoiceField
          label="Zone"
          value={zoneId}
          set={setZone}
          data={here.map((entry) => ({ value: entry.id, label: entry.name }))}
          path="zoneId"
        />
        <NativeSelect
          label="Type"
          value={type}
          onChange={(event) => setType(event.currentTarget.value as AssetType)}
          data={Object.entries(ASSET_TYPE).map(([value, label]) => ({ value, label }))}
        />
        <NativeSelect
          label="Criticality"
          value={criticality}
          onChange={(event) => setCriticality(event.currentTarget.value as Criticality)}
          data={Object.entries(CRITICALITY).map(([value, label]) => ({ value, label }))}
        />
        <TextField
          label="Address"
          description="In one of the zone's ranges"
          value={address}
          set={setAddress}
          required
          classNames={{ input: 'mono' }}
          path="address"
        />
        <TextField
          label="Owner"
          description="Who answers for it in the plant"
          value={owner}
          set={setOwner}
          required
          path="owner"
        />
      </div>
      <AreaField
        label="What can go wrong"
        description="In words, for the approver's card"
        value={hazard}
        set={setHazard}
        maxLength={500}
        autosize
        path="hazard"
      />
      <AreaField
        label="Compensating controls"
        value={controls}
        set={setControls}
        maxLength={500}
        autosize
        path="compensatingControls"
      />
      <fieldset>
        <legend>Consequence</legend>
        <div className="form-pair">
          {SCORES.map((score) => (
            <NativeSelect
              key={score}
              label={SCORE_WORD[score]}
              value={String(scores[score])}
              onChange={(event) => setScores({ ...scores, [score]: Number(event.currentTarget.value) })}
              data={LEVEL.map((label, value) => ({ value: String(value), label }))}
            />
          ))}
          <TextField
            type="date"
            label="Last verified on site"
            value={verified}
            set={setVerified}
            path="lastVerifiedAt"
          />
        </div>
      </fieldset>
      <NativeSelect
        label="When time is over"
        value={ending}
        onChange={(event) => setEnding(event.currentTarget.value as EndingMode | '')}
        data={[
          { value: '', label: 'As its criticality says' },
          ...Object.entries(ENDING).map(([value, label]) => ({ value, label })),
        ]}
        error={fieldError(error, 'ending')}
      />
      <Checkbox
        label="Recorded always"
        checked
        readOnly
        description="There is no session without a recording."
      />
    </FormDialog>
  )
}
