import { Button, Checkbox } from '@mantine/core'
import { IconArrowRight, IconPlus } from '@tabler/icons-react'
import { useState } from 'react'
import type { Protocol } from '../../broker/domain/words.ts'
import type { Answer } from '../shared/api.ts'
import { AreaField, ChoiceField, FormDialog, ReasonField, TextField } from '../shared/forms.tsx'
import { Empty, fieldError, Page, Section, Shown, Status } from '../shared/kit.tsx'
import { useAct, useRead } from '../shared/query.ts'
import { ALL_PROTOCOLS, PROTOCOL } from '../shared/words.ts'

type Site = Answer<'GET /api/sites'>[number]
type Zone = Answer<'GET /api/zones'>[number]
type Conduit = Answer<'GET /api/conduits'>[number]

export function Component() {
  const sites = useRead('GET /api/sites', {})
  const zones = useRead('GET /api/zones', {})
  const conduits = useRead('GET /api/conduits', {})
  const [adding, setAdding] = useState(false)
  return (
    <Page
      title="Sites and zones"
      lead="Plants, their zones, and the conduits that sessions may take between them. Without a conduit a session is denied."
      actions={
        <Button leftSection={<IconPlus size={17} aria-hidden />} onClick={() => setAdding(true)}>
          Add site
        </Button>
      }
    >
      <Shown of={sites}>
        {(list) =>
          list.length === 0 ? (
            <Empty title="No site yet">
              Begin with a plant: its name, time zone, and the notice that vendors accept before each session.
            </Empty>
          ) : (
            list.map((site) => (
              <SitePart
                key={site.id}
                site={site}
                zones={(zones.data ?? []).filter((zone) => zone.siteId === site.id)}
                conduits={(conduits.data ?? []).filter((conduit) => conduit.siteId === site.id)}
              />
            ))
          )
        }
      </Shown>
      {adding ? <SiteForm close={() => setAdding(false)} site={null} /> : null}
    </Page>
  )
}

function SitePart({ site, zones, conduits }: { site: Site; zones: Zone[]; conduits: Conduit[] }) {
  const [open, setOpen] = useState<'site' | 'zone' | 'conduit' | null>(null)
  const [switching, setSwitching] = useState<Conduit | null>(null)
  const close = () => setOpen(null)
  return (
    <Section
      title={site.name}
      aside={
        <div className="row">
          <Button variant="default" size="xs" onClick={() => setOpen('site')}>
            Name and notice
          </Button>
          <Button variant="default" size="xs" onClick={() => setOpen('zone')}>
            Add zone
          </Button>
          <Button variant="default" size="xs" disabled={zones.length < 2} onClick={() => setOpen('conduit')}>
            Add conduit
          </Button>
        </div>
      }
    >
      <p className="dim">
        Time zone {site.timeZone} · notice version {site.notice.version}
      </p>
      <div className="columns-even">
        <div className="panel stack">
          <h3>Zones</h3>
          {zones.length === 0 ? <p className="dim">No zone yet.</p> : null}
          {zones.map((zone) => (
            <div key={zone.id}>
              <strong>{zone.name}</strong> <span className="mono small dim">{zone.ranges.join(', ')}</span>
            </div>
          ))}
        </div>
        <div className="panel stack">
          <h3>Conduits</h3>
          {conduits.length === 0 ? <p className="dim">No conduit yet: nobody gets in here.</p> : null}
          {conduits.map((conduit) => (
            <div key={conduit.id} className="row row-between">
              <div className="grow">
                <strong>{conduit.name}</strong>
                <div className="dim row">
                  {conduit.from.name} <IconArrowRight size={14} aria-label="to" /> {conduit.to.name},{' '}
                  {conduit.protocols.map((protocol) => PROTOCOL[protocol]).join(', ')}
                </div>
              </div>
              <div className="row">
                <Status
                  tone={conduit.enabled ? 'normal' : 'quiet'}
                  word={conduit.enabled ? 'Open' : 'Closed'}
                />
                <Button variant="subtle" size="xs" onClick={() => setSwitching(conduit)}>
                  {conduit.enabled ? 'Close' : 'Open'}
                </Button>
              </div>
            </div>
          ))}
        </div>
      </div>
      {open === 'site' ? <SiteForm site={site} close={close} /> : null}
      {open === 'zone' ? <ZoneForm site={site} close={close} /> : null}
      {open === 'conduit' ? <ConduitForm site={site} zones={zones} close={close} /> : null}
      {switching ? <SwitchConduit conduit={switching} close={() => setSwitching(null)} /> : null}
    </Section>
  )
}

const NOTICE = `Your session on this plant's equipment is recorded in full: everything shown and everything typed. An operator may watch it live; you see who does. The recording is kept as evidence of the work.

Continue only if you agree, and only under the change ticket that you named.`

function SiteForm({ site, close }: { site: Site | null; close: () => void }) {
  const [name, setName] = useState(site?.name ?? '')
  const [timeZone, setTimeZone] = useState(site?.timeZone ?? Intl.DateTimeFormat().resolvedOptions().timeZone)
  const [notice, setNotice] = useState(site?.notice.text ?? NOTICE)
  const add = useAct('POST /api/sites', close)
  const change = useAct('PATCH /api/sites/:id', close)
  const error = add.error ?? change.error
  return (
    <FormDialog
      title={site ? `Change ${site.name}` : 'Add a site'}
      verb={site ? 'Save' : 'Add site'}
      opened
      close={close}
      busy={add.isPending || change.isPending}
      error={error}
      wide
      submit={() =>
        site
          ? change.mutate({
              params: { id: site.id },
              body: { name, ...(notice === site.notice.text ? {} : { notice }) },
            })
          : add.mutate({ body: { name, timeZone, notice } })
      }
    >
      <TextField label="Name" value={name} set={setName} required path="name" />
      {site ? null : (
        <ChoiceField
          label="Time zone of the plant"
          value={timeZone}
          set={setTimeZone}
          data={Intl.supportedValuesOf('timeZone')}
          path="timeZone"
        />
      )}
      <AreaField
        label="Notice"
        description="Who records and watches, and under which law. A changed notice must be accepted anew."
        value={notice}
        set={setNotice}
        required
        maxLength={4000}
        autosize
        minRows={5}
        path="notice"
      />
    </FormDialog>
  )
}

function ZoneForm({ site, close }: { site: Site; close: () => void }) {
  const [name, setName] = useState('')
  const [ranges, setRanges] = useState('')
  const add = useAct('POST /api/zones', close)
  return (
    <FormDialog
      title={`Add a zone to ${site.name}`}
      verb="Add zone"
      opened
      close={close}
      busy={add.isPending}
      error={add.error}
      submit={() =>
        add.mutate({ body: { siteId: site.id, name, ranges: ranges.split(/[\s,]+/).filter(Boolean) } })
      }
    >
      <TextField label="Name" value={name} set={setName} required path="name" />
      <AreaField
        label="Address ranges"
        description="One a line, for example 10.20.4.0/24. An asset's address must lie in one of them."
        value={ranges}
        set={setRanges}
        required
        autosize
        minRows={2}
        classNames={{ input: 'mono' }}
        path="ranges"
      />
    </FormDialog>
  )
}

function ConduitForm({ site, zones, close }: { site: Site; zones: Zone[]; close: () => void }) {
  const [name, setName] = useState('')
  const [from, setFrom] = useState(zones[0]?.id ?? '')
  const [to, setTo] = useState(zones[1]?.id ?? '')
  const [protocols, setProtocols] = useState<Protocol[]>(['ssh'])
  const add = useAct('POST /api/conduits', close)
  const choices = zones.map((zone) => ({ value: zone.id, label: zone.name }))
  return (
    <FormDialog
      title={`Declare a conduit at ${site.name}`}
      verb="Declare conduit"
      opened
      close={close}
      busy={add.isPending}
      error={add.error}
      submit={() =>
        add.mutate({ body: { siteId: site.id, name, fromZoneId: from, toZoneId: to, protocols } })
      }
    >
      <TextField label="Name" value={name} set={setName} required path="name" />
      <ChoiceField
        label="From (the gateway's zone)"
        value={from}
        set={setFrom}
        data={choices}
        path="fromZoneId"
      />
      <ChoiceField label="To (the asset's zone)" value={to} set={setTo} data={choices} path="toZoneId" />
      <fieldset>
        <legend>Carries</legend>
        <div className="stack-tight">
          {ALL_PROTOCOLS.map((protocol) => (
            <Checkbox
              key={protocol}
              label={PROTOCOL[protocol]}
              checked={protocols.includes(protocol)}
              onChange={(event) =>
                setProtocols(
                  event.currentTarget.checked
                    ? [...protocols, protocol]
                    : protocols.filter((other) => other !== protocol),
                )
              }
            />
          ))}
        </div>
        {fieldError(add.error, 'protocols') ? (
          <p className="field-error">{fieldError(add.error, 'protocols')}</p>
        ) : null}
      </fieldset>
    </FormDialog>
  )
}

function SwitchConduit({ conduit, close }: { conduit: Conduit; close: () => void }) {
  const [reason, setReason] = useState('')
  const change = useAct('PATCH /api/conduits/:id', close)
  return (
    <FormDialog
      title={`${conduit.enabled ? 'Close' : 'Open'} ${conduit.name}?`}
      verb={conduit.enabled ? 'Close conduit' : 'Open conduit'}
      opened
      close={close}
      busy={change.isPending}
      error={change.error}
      submit={() =>
        change.mutate({ params: { id: conduit.id }, body: { enabled: !conduit.enabled, reason } })
      }
    >
      {conduit.enabled ? <p>Sessions that run over it end by their rule.</p> : null}
      <ReasonField value={reason} set={setReason} />
    </FormDialog>
  )
}
