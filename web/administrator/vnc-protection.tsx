import { Button } from '@mantine/core'
import { useState } from 'react'
import { Link } from 'react-router'
import type { Answer } from '../shared/api.ts'
import { ExceptionForm, uncovered } from '../shared/exception-form.tsx'
import { ChoiceField, FormDialog, ReasonField } from '../shared/forms.tsx'
import { Note, Status, When } from '../shared/kit.tsx'
import { useAct } from '../shared/query.ts'
import { viewerZone } from '../shared/time.ts'
import { DEVIATION, VNC_AUTHENTICATION, VNC_SECURITY } from '../shared/words.ts'

type Asset = Answer<'GET /api/assets/:id'>
type Endpoint = Asset['endpoints'][number]

/** How a VNC endpoint is declared and was seen to be protected, what it lacks, and the exceptions for that. */
export function VncProtection({
  asset,
  endpoint,
  vnc,
}: {
  asset: Asset
  endpoint: Endpoint
  vnc: NonNullable<Endpoint['vnc']>
}) {
  const [open, setOpen] = useState<'declare' | 'exception' | null>(null)
  const close = () => setOpen(null)
  const fits = vnc.seen?.security === vnc.security && vnc.seen.authentication === vnc.authentication
  const missing = uncovered(endpoint)
  return (
    <div className="stack-tight">
      <div className="row row-between">
        <h3>Protection</h3>
        <Status
          tone={vnc.seen === null ? 'quiet' : fits ? 'normal' : 'alarm'}
          word={
            vnc.seen === null ? 'Not probed yet' : fits ? 'As the asset shows it' : 'The asset shows another'
          }
        />
      </div>
      <p>
        {VNC_SECURITY[vnc.security]}. {VNC_AUTHENTICATION[vnc.authentication]}.
      </p>
      {vnc.seen ? (
        <p className="dim small">
          {fits
            ? 'Seen'
            : `Seen: ${VNC_SECURITY[vnc.seen.security]}. ${VNC_AUTHENTICATION[vnc.seen.authentication]}.`}{' '}
          <When at={vnc.seen.at} zone={viewerZone()} />
        </p>
      ) : null}
      {endpoint.deviations.map(({ kind, exception }) => (
        <div key={kind} className="row row-between">
          <span>{DEVIATION[kind].name}</span>
          <Status
            tone={exception?.state === 'open' ? 'normal' : 'attention'}
            word={
              exception === null ? (
                'No exception'
              ) : (
                <>
                  {exception.state === 'open' ? 'Exception ends ' : 'Exception expired '}
                  <When at={exception.expiresAt} zone={viewerZone()} short />
                </>
              )
            }
          />
        </div>
      ))}
      <div className="row">
        <Button variant="default" size="xs" onClick={() => setOpen('declare')}>
          Declare anew
        </Button>
        {endpoint.deviations.length > 0 ? (
          <Button
            variant={missing.length > 0 ? 'filled' : 'default'}
            size="xs"
            onClick={() => setOpen('exception')}
          >
            Open exception
          </Button>
        ) : null}
        {endpoint.deviations.length > 0 ? <Link to="/exceptions">All exceptions</Link> : null}
      </div>
      {open === 'declare' ? <DeclareForm endpoint={endpoint} vnc={vnc} close={close} /> : null}
      {open === 'exception' ? <ExceptionForm choices={[{ asset, endpoint }]} close={close} /> : null}
    </div>
  )
}

export type Vnc = Pick<NonNullable<Endpoint['vnc']>, 'security' | 'authentication'>

export function VncFields({ vnc, set }: { vnc: Vnc; set: (vnc: Vnc) => void }) {
  return (
    <>
      <ChoiceField
        label="Connection"
        value={vnc.security}
        set={(value) => set({ ...vnc, security: value as Vnc['security'] })}
        data={Object.entries(VNC_SECURITY).map(([value, label]) => ({ value, label }))}
        path="security"
      />
      <ChoiceField
        label="Password"
        value={vnc.authentication}
        set={(value) => set({ ...vnc, authentication: value as Vnc['authentication'] })}
        data={Object.entries(VNC_AUTHENTICATION).map(([value, label]) => ({ value, label }))}
        path="authentication"
      />
      {vnc.security !== 'x509' || vnc.authentication !== 'password' ? (
        <Note tone="attention">
          Nobody gets in over it without an exception that an operator of the site opens: with a reason, what
          stands against it, an owner and an end.
        </Note>
      ) : null}
    </>
  )
}

function DeclareForm({ endpoint, vnc, close }: { endpoint: Endpoint; vnc: Vnc; close: () => void }) {
  const [next, setNext] = useState<Vnc>({ security: vnc.security, authentication: vnc.authentication })
  const [reason, setReason] = useState('')
  const change = useAct('PATCH /api/endpoints/:id', close)
  return (
    <FormDialog
      title="Declare how it is protected"
      verb="Declare"
      opened
      close={close}
      busy={change.isPending}
      error={change.error}
      submit={() =>
        change.mutate({ params: { id: endpoint.id }, body: { protocol: 'vnc', ...next, reason } })
      }
    >
      <VncFields vnc={next} set={setNext} />
      <p>Approvals that were given no longer count; a session that runs ends by the rule of its asset.</p>
      <ReasonField value={reason} set={setReason} />
    </FormDialog>
  )
}
