import { Button, Modal, NativeSelect } from '@mantine/core'
import { IconPlus } from '@tabler/icons-react'
import { useState } from 'react'
import { useOutletContext } from 'react-router'
import type { Answer } from '../shared/api.ts'
import { ChoiceField, FormDialog, ReasonField, TextField } from '../shared/forms.tsx'
import {
  Empty,
  Fact,
  Facts,
  Note,
  Page,
  Section,
  Shown,
  ShownOnce,
  Status,
  TableFrame,
  When,
} from '../shared/kit.tsx'
import { hasRole, type Me } from '../shared/me.ts'
import { useAct, useRead } from '../shared/query.ts'
import { instantTimes, viewerZone } from '../shared/time.ts'

type Gateway = Answer<'GET /api/gateways'>[number]
const STATE = {
  waiting: ['quiet', 'Waits for its first start'],
  online: ['normal', 'Online'],
  offline: ['alarm', 'Offline'],
  revoked: ['quiet', 'Revoked'],
} as const

const gib = (bytes: number) =>
  bytes >= 1024 ** 3 ? `${(bytes / 1024 ** 3).toFixed(1)} GiB` : `${Math.round(bytes / 1024 ** 2)} MiB`

export function Component() {
  const health = useRead('GET /api/health', {}, { live: true })
  const me = useOutletContext<Me>()
  const [adding, setAdding] = useState(false)
  const [confirming, setConfirming] = useState(false)
  const [revoking, setRevoking] = useState<Gateway | null>(null)
  return (
    <Page
      title="Gateways and health"
      actions={
        <Button leftSection={<IconPlus size={17} aria-hidden />} onClick={() => setAdding(true)}>
          Announce gateway
        </Button>
      }
      wide
    >
      <Shown of={health}>
        {(data) => (
          <>
            {data.restore ? (
              <Note tone="alarm">
                <p>
                  <strong>No new session opens: a backup was restored.</strong> It was made{' '}
                  <When at={data.restore.backupAt} zone={viewerZone()} />. What was taken away since is in
                  force again. Revoke gateways, disable people and vendors, withdraw approvals and stop
                  requests again, then confirm it.
                </p>
                {hasRole(me, 'administrator') ? (
                  <Button mt="xs" onClick={() => setConfirming(true)}>
                    Confirm
                  </Button>
                ) : null}
              </Note>
            ) : null}
            <Section title="Gateways">
              {data.gateways.length === 0 ? (
                <Empty title="No gateway yet">
                  A gateway stands near the machines and dials out to this broker. Announce it here, then
                  start it with its one-time token.
                </Empty>
              ) : (
                <TableFrame
                  label="Gateways"
                  columns={['Gateway', 'Zone', 'State', 'Sessions', 'Free space', 'Clock', 'To deliver']}
                  actions="Revoke"
                >
                  <tbody>
                    {data.gateways.map((gateway) => (
                      <tr key={gateway.id}>
                        <td>
                          <strong>{gateway.name}</strong>
                          <div className="dim">{gateway.version ? `version ${gateway.version}` : ''}</div>
                        </td>
                        <td>
                          {gateway.site.name}
                          <div className="dim">{gateway.zone.name}</div>
                        </td>
                        <td>
                          <Status tone={STATE[gateway.state][0]} word={STATE[gateway.state][1]} />
                          {gateway.lastSeenAt && gateway.state !== 'online' ? (
                            <div className="dim">
                              seen <When at={gateway.lastSeenAt} zone={viewerZone()} short />
                            </div>
                          ) : null}
                        </td>
                        <td className="num-cell">
                          {gateway.sessions ?? '—'}
                          {gateway.workers && gateway.workers.running < gateway.workers.configured ? (
                            <div>
                              <Status
                                tone="alarm"
                                word={`${gateway.workers.running} of ${gateway.workers.configured} session threads`}
                              />
                            </div>
                          ) : null}
                        </td>
                        <td className="num-cell">
                          {gateway.freeBytes === null ? (
                            '—'
                          ) : gateway.reserveBytes !== null && gateway.freeBytes < gateway.reserveBytes ? (
                            <Status tone="alarm" word={`${gib(gateway.freeBytes)}, below the reserve`} />
                          ) : (
                            gib(gateway.freeBytes)
                          )}
                        </td>
                        <td className="num-cell">
                          {gateway.clockOffsetMs === null ? (
                            '—'
                          ) : Math.abs(gateway.clockOffsetMs) > 30_000 ? (
                            <Status
                              tone="alarm"
                              word={`${Math.round(gateway.clockOffsetMs / 1000)} s apart`}
                            />
                          ) : (
                            `${Math.round(gateway.clockOffsetMs)} ms`
                          )}
                        </td>
                        <td className="num-cell">{gateway.spooledRecordings ?? '—'}</td>
                        <td>
                          {gateway.state === 'revoked' ? null : (
                            <Button
                              size="xs"
                              variant="subtle"
                              color="alarm"
                              onClick={() => setRevoking(gateway)}
                            >
                              Revoke<span className="sr-only"> {gateway.name}</span>
                            </Button>
                          )}
                        </td>
                      </tr>
                    ))}
                  </tbody>
                </TableFrame>
              )}
            </Section>
            <Section title="Broker">
              <div className="panel">
                <Facts>
                  <Fact name="Version">{data.version}</Fact>
                  <Fact name="Clock">
                    <Status
                      tone={data.clock.state === 'ok' ? 'normal' : 'alarm'}
                      word={
                        {
                          ok: 'Right.',
                          'behind-mark': 'Behind the highest time seen',
                          apart: 'Apart from a gateway',
                        }[data.clock.state]
                      }
                    />{' '}
                    <span className="dim">{data.clock.detail}</span>
                  </Fact>
                  <Fact name="Database">
                    <Status
                      tone={data.database.ok ? 'normal' : 'alarm'}
                      word={data.database.ok ? 'Answers' : 'Does not answer'}
                    />{' '}
                    {data.database.ok ? null : <span className="dim">{data.database.detail}</span>}
                  </Fact>
                  <Fact name="Recordings">
                    <Status
                      tone={data.storage.ok ? 'normal' : 'alarm'}
                      word={`${gib(data.storage.freeBytes)} free, reserve ${gib(data.storage.reserveBytes)}`}
                    />
                    {data.storage.ok ? null : <span> No new session opens until there is room.</span>}
                  </Fact>
                  <Fact name="To deliver">{data.unshippedRecordings} recordings still at gateways</Fact>
                  <Fact name="Log">
                    {data.checkpoint.size.toLocaleString('en-GB')} entries under the newest checkpoint
                    {data.checkpoint.at ? (
                      <>
                        , <When at={data.checkpoint.at} zone={viewerZone()} short />
                      </>
                    ) : null}
                  </Fact>
                  <Fact name="Witness">
                    <Status
                      tone={
                        data.witness.state === 'ok'
                          ? 'normal'
                          : data.witness.state === 'late'
                            ? 'alarm'
                            : 'quiet'
                      }
                      word={{ ok: 'Cosigns', late: 'Late', absent: 'None set up.' }[data.witness.state]}
                    />{' '}
                    <span className="dim">{data.witness.detail}</span>
                  </Fact>
                </Facts>
              </div>
            </Section>
          </>
        )}
      </Shown>
      {adding ? <GatewayForm close={() => setAdding(false)} /> : null}
      {confirming ? <RestoreForm close={() => setConfirming(false)} /> : null}
      {revoking ? <RevokeForm gateway={revoking} close={() => setRevoking(null)} /> : null}
    </Page>
  )
}

function GatewayForm({ close }: { close: () => void }) {
  const sites = useRead('GET /api/sites', {})
  const zones = useRead('GET /api/zones', {})
  const [name, setName] = useState('')
  const [site, setSite] = useState('')
  const [zone, setZone] = useState('')
  const add = useAct('POST /api/gateways')
  const siteId = site || sites.data?.[0]?.id || ''
  const here = (zones.data ?? []).filter((entry) => entry.siteId === siteId)
  const zoneId = here.some((entry) => entry.id === zone) ? zone : (here[0]?.id ?? '')
  if (add.data)
    return (
      <Modal
        opened
        onClose={close}
        title={`${add.data.gateway.name} is announced`}
        closeOnClickOutside={false}
      >
        <div className="stack">
          <ShownOnce
            label="One-time enrolment token"
            value={add.data.enrolmentToken}
            hint={`Shown only now. It enrols one gateway, until ${instantTimes(add.data.expiresAt, viewerZone()).plant.replace(/ plant \(.*\)$/, '')}.`}
          />
          <Button onClick={close}>Done</Button>
        </div>
      </Modal>
    )
  return (
    <FormDialog
      title="Announce a gateway"
      verb="Announce gateway"
      opened
      close={close}
      busy={add.isPending}
      error={add.error}
      submit={() => add.mutate({ body: { name, siteId, zoneId } })}
    >
      <TextField label="Name" value={name} set={setName} required path="name" />
      <NativeSelect
        label="Site"
        value={siteId}
        onChange={(event) => setSite(event.currentTarget.value)}
        data={(sites.data ?? []).map((entry) => ({ value: entry.id, label: entry.name }))}
      />
      <ChoiceField
        label="Zone in which it stands"
        value={zoneId}
        set={setZone}
        data={here.map((entry) => ({ value: entry.id, label: entry.name }))}
        path="zoneId"
      />
    </FormDialog>
  )
}

function RestoreForm({ close }: { close: () => void }) {
  const [reason, setReason] = useState('')
  const confirm = useAct('POST /api/restore/confirm', close)
  return (
    <FormDialog
      title="Was everything revoked again?"
      verb="It was: open sessions again"
      opened
      close={close}
      busy={confirm.isPending}
      error={confirm.error}
      danger
      submit={() => confirm.mutate({ body: { reason } })}
    >
      <p>
        You say that gateways, people, approvals and requests that were taken away after the backup have been
        taken away again. It is written to the audit log in your name.
      </p>
      <ReasonField value={reason} set={setReason} />
    </FormDialog>
  )
}

function RevokeForm({ gateway, close }: { gateway: Gateway; close: () => void }) {
  const [reason, setReason] = useState('')
  const revoke = useAct('POST /api/gateways/:id/revoke', close)
  return (
    <FormDialog
      title={`Revoke ${gateway.name}?`}
      verb="Revoke gateway"
      opened
      close={close}
      busy={revoke.isPending}
      error={revoke.error}
      danger
      submit={() => revoke.mutate({ params: { id: gateway.id }, body: { reason } })}
    >
      <p>
        Its certificate and grants stop counting at once
        {gateway.sessions ? `; ${gateway.sessions} running sessions end` : ''}. Old recordings stay closed to
        it. To come back it must be announced and enrolled anew.
      </p>
      <ReasonField value={reason} set={setReason} />
    </FormDialog>
  )
}
