import { Button } from '@mantine/core'
import { useState } from 'react'
import type { Answer } from '../shared/api.ts'
import { ChoiceField, FormDialog, ReasonField } from '../shared/forms.tsx'
import { Note, Status, When } from '../shared/kit.tsx'
import { useAct } from '../shared/query.ts'
import { viewerZone } from '../shared/time.ts'
import { RDP_SECURITY, WITHOUT_NLA } from '../shared/words.ts'

type Endpoint = Answer<'GET /api/assets/:id'>['endpoints'][number]
export type Rdp = Pick<NonNullable<Endpoint['rdp']>, 'security'>

/** How an RDP endpoint is declared and was seen to sign in. */
export function RdpProtection({ endpoint, rdp }: { endpoint: Endpoint; rdp: NonNullable<Endpoint['rdp']> }) {
  const [declaring, setDeclaring] = useState(false)
  const { seen } = rdp
  const fits = seen?.security === rdp.security
  return (
    <div className="stack-tight">
      <div className="row row-between">
        <h3>Protection</h3>
        <Status
          tone={seen === null ? 'quiet' : fits ? 'normal' : seen.security === 'nla' ? 'attention' : 'alarm'}
          word={
            seen === null
              ? 'Not probed yet'
              : fits
                ? 'As the asset shows it'
                : seen.security === 'nla'
                  ? 'The asset can do better'
                  : 'The asset shows another'
          }
        />
      </div>
      <p>{RDP_SECURITY[rdp.security]}.</p>
      {rdp.security === 'tls' ? <p className="dim small">{WITHOUT_NLA}</p> : null}
      {seen ? (
        <p className="dim small">
          {fits ? 'Seen' : `Seen: ${RDP_SECURITY[seen.security]}.`} <When at={seen.at} zone={viewerZone()} />
        </p>
      ) : null}
      <div className="row">
        <Button variant="default" size="xs" onClick={() => setDeclaring(true)}>
          Declare anew
        </Button>
      </div>
      {declaring ? <DeclareForm endpoint={endpoint} rdp={rdp} close={() => setDeclaring(false)} /> : null}
    </div>
  )
}

export function RdpFields({ rdp, set }: { rdp: Rdp; set: (rdp: Rdp) => void }) {
  return (
    <>
      <ChoiceField
        label="Sign-in"
        value={rdp.security}
        set={(value) => set({ security: value as Rdp['security'] })}
        data={Object.entries(RDP_SECURITY).map(([value, label]) => ({ value, label }))}
        path="security"
      />
      {rdp.security === 'tls' ? (
        <Note tone="attention">
          {WITHOUT_NLA} Only for a server that is old or has no NLA (xrdp); say why.
        </Note>
      ) : null}
    </>
  )
}

function DeclareForm({ endpoint, rdp, close }: { endpoint: Endpoint; rdp: Rdp; close: () => void }) {
  const [next, setNext] = useState<Rdp>({ security: rdp.security })
  const [reason, setReason] = useState('')
  const change = useAct('PATCH /api/endpoints/:id', close)
  return (
    <FormDialog
      title="Declare how it signs in"
      verb="Declare"
      opened
      close={close}
      busy={change.isPending}
      error={change.error}
      submit={() =>
        change.mutate({ params: { id: endpoint.id }, body: { protocol: 'rdp', ...next, reason } })
      }
    >
      <RdpFields rdp={next} set={setNext} />
      <p>Approvals that were given no longer count; a session that runs ends by the rule of its asset.</p>
      <ReasonField value={reason} set={setReason} />
    </FormDialog>
  )
}
