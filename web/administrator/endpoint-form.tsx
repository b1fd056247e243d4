import { useState } from 'react'
import type { Protocol } from '../../broker/domain/words.ts'
import type { Answer } from '../shared/api.ts'
import { ChoiceField, FormDialog, ReasonField, TextField } from '../shared/forms.tsx'
import { useAct } from '../shared/query.ts'
import { ALL_PROTOCOLS, PROTOCOL } from '../shared/words.ts'
import { type Rdp, RdpFields } from './rdp-protection.tsx'
import { type Vnc, VncFields } from './vnc-protection.tsx'

type Asset = Answer<'GET /api/assets/:id'>

export function EndpointForm({ asset, close }: { asset: Asset; close: () => void }) {
  const [protocol, setProtocol] = useState<Protocol>('ssh')
  const [port, setPort] = useState('22')
  const [vnc, setVnc] = useState<Vnc>({ security: 'x509', authentication: 'password' })
  const [rdp, setRdp] = useState<Rdp>({ security: 'nla' })
  const [reason, setReason] = useState('')
  const add = useAct('POST /api/assets/:id/endpoints', close)
  return (
    <FormDialog
      title="Add an endpoint"
      verb="Add endpoint"
      opened
      close={close}
      busy={add.isPending}
      error={add.error}
      submit={() =>
        add.mutate({
          params: { id: asset.id },
          body: {
            ssh: { protocol: 'ssh' as const, port: Number(port) },
            vnc: { protocol: 'vnc' as const, port: Number(port), ...vnc },
            rdp: {
              protocol: 'rdp' as const,
              port: Number(port),
              ...rdp,
              ...(rdp.security === 'tls' ? { reason } : {}),
            },
          }[protocol],
        })
      }
    >
      <ChoiceField
        label="Protocol"
        value={protocol}
        set={(value) => {
          const next = value as Protocol
          setProtocol(next)
          if (port === USUAL_PORT[protocol]) setPort(USUAL_PORT[next])
        }}
        data={ALL_PROTOCOLS.map((value) => ({ value, label: PROTOCOL[value] }))}
        path="protocol"
      />
      <TextField
        label="Port"
        inputMode="numeric"
        pattern="[0-9]{1,5}"
        value={port}
        set={setPort}
        required
        path="port"
      />
      {protocol === 'vnc' ? <VncFields vnc={vnc} set={setVnc} /> : null}
      {protocol === 'rdp' ? <RdpFields rdp={rdp} set={setRdp} /> : null}
      {protocol === 'rdp' && rdp.security === 'tls' ? <ReasonField value={reason} set={setReason} /> : null}
    </FormDialog>
  )
}

const USUAL_PORT: Record<Protocol, string> = { ssh: '22', vnc: '5900', rdp: '3389' }
