import { Button, NativeSelect, PasswordInput, TextInput } from '@mantine/core'
import { useState } from 'react'
import { useParams } from 'react-router'
import type { Protocol } from '../../broker/domain/words.ts'
import type { Answer } from '../shared/api.ts'
import { AreaField, ChoiceField, FormDialog, ReasonField, TextField } from '../shared/forms.tsx'
import {
  ErrorNote,
  Fact,
  Facts,
  fieldError,
  Note,
  Page,
  Section,
  Shown,
  Status,
  When,
} from '../shared/kit.tsx'
import { useAct, useRead } from '../shared/query.ts'
import { viewerZone } from '../shared/time.ts'
import { assetType, CRITICALITY, ENDING, PROTOCOL } from '../shared/words.ts'
import { AssetForm } from './asset-form.tsx'
import { ConsoleForm } from './console-form.tsx'
import { EndpointForm } from './endpoint-form.tsx'
import { RdpProtection } from './rdp-protection.tsx'
import { VncProtection } from './vnc-protection.tsx'

type Asset = Answer<'GET /api/assets/:id'>
type Endpoint = Asset['endpoints'][number]

export function Component() {
  const { id = '' } = useParams()
  const asset = useRead('GET /api/assets/:id', { params: { id } }, { live: true })
  return <Shown of={asset}>{(data) => <AssetPage asset={data} />}</Shown>
}

function AssetPage({ asset }: { asset: Asset }) {
  const [open, setOpen] = useState<'edit' | 'switch' | 'gateway' | 'endpoint' | 'console' | null>(null)
  const close = () => setOpen(null)
  return (
    <Page
      title={asset.name}
      lead={asset.description}
      actions={
        <>
          <Button variant="default" onClick={() => setOpen('switch')}>
            {asset.enabled ? 'Disable' : 'Enable'}
          </Button>
          <Button variant="default" onClick={() => setOpen('gateway')}>
            Choose gateway
          </Button>
          <Button onClick={() => setOpen('edit')}>Change</Button>
        </>
      }
    >
      {asset.incomplete.length > 0 ? (
        <Note tone="attention">
          <p>
            <strong>It cannot be asked for yet.</strong> Missing: {asset.incomplete.join(', ')}.
          </p>
        </Note>
      ) : null}
      <div className="panel">
        <Facts>
          <Fact name="State">
            <Status tone={asset.enabled ? 'normal' : 'quiet'} word={asset.enabled ? 'Enabled' : 'Disabled'} />
          </Fact>
          <Fact name="Kind">
            {assetType(asset.type)}, {CRITICALITY[asset.criticality]}
          </Fact>
          <Fact name="Where">
            {asset.site.name}, {asset.zone.name}
          </Fact>
          <Fact name="Address">
            <span className="mono">{asset.address}</span>
          </Fact>
          <Fact name="Gateway">{asset.gateway?.name ?? 'none'}</Fact>
          <Fact name="Owner">{asset.owner}</Fact>
          <Fact name="What can go wrong">{asset.hazard || <span className="dim">not described</span>}</Fact>
          <Fact name="Ending">{ENDING[asset.ending.mode]}</Fact>
          <Fact name="Console">
            <span className="row">
              {asset.operatorsUseConsole
                ? 'Operators use it: one of them says that it is free before a session opens'
                : 'No operator uses it'}
              <Button variant="subtle" size="compact-xs" onClick={() => setOpen('console')}>
                Change
              </Button>
            </span>
          </Fact>
        </Facts>
      </div>
      <Section
        title="Endpoints"
        aside={
          <Button variant="default" size="xs" onClick={() => setOpen('endpoint')}>
            Add endpoint
          </Button>
        }
      >
        {asset.endpoints.length === 0 ? <p className="dim">No endpoint yet.</p> : null}
        {asset.endpoints.map((endpoint) => (
          <EndpointPart key={endpoint.id} asset={asset} endpoint={endpoint} />
        ))}
      </Section>
      {open === 'edit' ? <AssetForm asset={asset} close={close} done={() => undefined} /> : null}
      {open === 'switch' ? <Switch asset={asset} close={close} /> : null}
      {open === 'gateway' ? <ChooseGateway asset={asset} close={close} /> : null}
      {open === 'console' ? <ConsoleForm asset={asset} close={close} /> : null}
      {open === 'endpoint' ? <EndpointForm asset={asset} close={close} /> : null}
    </Page>
  )
}

function EndpointPart({ asset, endpoint }: { asset: Asset; endpoint: Endpoint }) {
  const [account, setAccount] = useState<string | null>(null)
  const withAccounts = endpoint.vnc?.authentication !== 'none'
  return (
    <article className="panel stack">
      <h3>
        {PROTOCOL[endpoint.protocol]}, port {endpoint.port}
      </h3>
      {endpoint.vnc ? <VncProtection asset={asset} endpoint={endpoint} vnc={endpoint.vnc} /> : null}
      {endpoint.rdp ? <RdpProtection endpoint={endpoint} rdp={endpoint.rdp} /> : null}
      <Identity endpoint={endpoint} />
      {withAccounts ? (
        <div className="stack-tight">
          <h3>Accounts</h3>
          {endpoint.accounts.length === 0 ? <p className="dim">No account yet.</p> : null}
          {endpoint.accounts.map((entry) => (
            <div key={entry.name} className="row row-between">
              <span className="mono">{entry.name}</span>
              <span className="row">
                <Status
                  tone={entry.credential === 'missing' ? 'attention' : 'normal'}
                  word={
                    {
                      password: 'Password in the vault',
                      'private-key': 'Key in the vault',
                      missing: 'No credential',
                    }[entry.credential]
                  }
                />
                <Button variant="subtle" size="xs" onClick={() => setAccount(entry.name)}>
                  {entry.credential === 'missing' ? 'Set' : 'Replace'}
                </Button>
              </span>
            </div>
          ))}
          <div className="row">
            <Button variant="default" size="xs" onClick={() => setAccount('')}>
              Add account
            </Button>
          </div>
        </div>
      ) : null}
      {account !== null ? (
        <CredentialForm endpoint={endpoint} account={account} close={() => setAccount(null)} />
      ) : null}
    </article>
  )
}

/** Fetched through the gateway, compared by a person with what the asset's owner says, then pinned. */
function Identity({ endpoint }: { endpoint: Endpoint }) {
  const [reason, setReason] = useState('')
  const probe = useAct('POST /api/endpoints/:id/identity/probe')
  const accept = useAct('POST /api/endpoints/:id/identity/accept', () => {
    setReason('')
    probe.reset()
  })
  const { vnc } = endpoint
  const ssh = endpoint.protocol === 'ssh'
  const pinnable = vnc === null || vnc.security === 'x509'
  const noun = ssh ? 'key' : 'certificate'
  const seen = !pinnable
    ? null
    : (probe.data?.identity ?? (endpoint.identity.state === 'accepted' ? null : endpoint.identity.seen))
  const known = endpoint.identity.accepted.some((key) => key.fingerprint === seen?.fingerprint)
  return (
    <div className="stack-tight">
      {pinnable ? (
        <div className="row row-between">
          <h3>{ssh ? 'Host key' : 'Certificate'}</h3>
          <Status
            tone={
              { none: 'attention', accepted: 'normal', changed: 'alarm' }[endpoint.identity.state] as 'normal'
            }
            word={
              { none: 'Not accepted yet', accepted: 'Pinned', changed: `The asset showed another ${noun}` }[
                endpoint.identity.state
              ]
            }
          />
        </div>
      ) : null}
      {endpoint.identity.accepted.map((key) => (
        <p key={key.fingerprint} className="mono small wrap-any">
          {key.algorithm} {key.fingerprint}
        </p>
      ))}
      {pinnable && endpoint.identity.seenAt ? (
        <p className="dim small">
          Last seen <When at={endpoint.identity.seenAt} zone={viewerZone()} />
        </p>
      ) : null}
      <div className="row">
        <Button
          variant="default"
          size="xs"
          loading={probe.isPending}
          onClick={() => probe.mutate({ params: { id: endpoint.id }, body: {} })}
        >
          {ssh ? 'Fetch host key through the gateway' : 'Probe through the gateway'}
        </Button>
      </div>
      {probe.error ? <ErrorNote error={probe.error} /> : null}
      {seen && known ? <Note tone="normal">The asset shows the pinned {noun}.</Note> : null}
      {seen && !known ? (
        <form
          className="stack panel panel-tight"
          onSubmit={(event) => {
            event.preventDefault()
            accept.mutate({
              params: { id: endpoint.id },
              body: { algorithm: seen.algorithm, fingerprint: seen.fingerprint, reason },
            })
          }}
        >
          <p>
            The asset shows{' '}
            <span className="mono wrap-any">
              {seen.algorithm} {seen.fingerprint}
            </span>
            . Compare it with what is printed at the machine or what its owner tells you. Who pins an unknown
            one may pin an attacker's.
          </p>
          <TextInput
            label="How you compared it"
            placeholder="Read aloud by M. Brandt at the console"
            value={reason}
            onChange={(event) => setReason(event.currentTarget.value)}
            required
            error={fieldError(accept.error, 'reason')}
          />
          {accept.error ? <ErrorNote error={accept.error} /> : null}
          <div>
            <Button type="submit" loading={accept.isPending}>
              Pin this {noun}
            </Button>
          </div>
        </form>
      ) : null}
    </div>
  )
}

/** What to write as the account's name, where that needs saying. */
const ACCOUNT_HINT: Partial<Record<Protocol, string>> = {
  vnc: 'VNC knows no accounts; the name only tells several passwords apart.',
  rdp: 'As Windows knows it: a local name, DOMAIN\\user or user@domain.',
}

function CredentialForm({
  endpoint,
  account,
  close,
}: {
  endpoint: Endpoint
  account: string
  close: () => void
}) {
  const vnc = endpoint.protocol === 'vnc'
  const [name, setName] = useState(account || (vnc ? 'vnc' : ''))
  const [kind, setKind] = useState<'password' | 'private-key'>('password')
  const [password, setPassword] = useState('')
  const [privateKey, setPrivateKey] = useState('')
  const [passphrase, setPassphrase] = useState('')
  const set = useAct('PUT /api/endpoints/:id/accounts/:account/credential', close)
  return (
    <FormDialog
      title={account ? `Credential of ${account}` : 'Add an account'}
      verb="Put into the vault"
      opened
      close={close}
      busy={set.isPending}
      error={set.error}
      submit={() =>
        set.mutate({
          params: { id: endpoint.id, account: name },
          body:
            kind === 'password' ? { kind, password } : { kind, privateKey, passphrase: passphrase || null },
        })
      }
    >
      {account ? null : (
        <TextField
          label={vnc ? 'Name for it here' : 'Account on the asset'}
          {...(ACCOUNT_HINT[endpoint.protocol] ? { description: ACCOUNT_HINT[endpoint.protocol] } : {})}
          value={name}
          set={setName}
          required
          pattern="[a-zA-Z0-9._@\\\-]{1,64}"
          classNames={{ input: 'mono' }}
          path="account"
        />
      )}
      {endpoint.protocol === 'ssh' ? (
        <NativeSelect
          label="Kind"
          value={kind}
          onChange={(event) =>
            setKind(event.currentTarget.value === 'private-key' ? 'private-key' : 'password')
          }
          data={[
            { value: 'password', label: 'Password' },
            { value: 'private-key', label: 'Private key' },
          ]}
        />
      ) : null}
      {kind === 'password' ? (
        <PasswordInput
          label="Password"
          {...(vnc ? { description: 'VNC authentication looks at the first 8 characters only.' } : {})}
          value={password}
          onChange={(event) => setPassword(event.currentTarget.value)}
          required
          autoComplete="off"
          error={fieldError(set.error, 'password')}
        />
      ) : (
        <>
          <AreaField
            label="Private key (OpenSSH or PEM)"
            value={privateKey}
            set={setPrivateKey}
            required
            autosize
            minRows={4}
            maxRows={10}
            autoComplete="off"
            spellCheck={false}
            classNames={{ input: 'mono' }}
            path="privateKey"
          />
          <PasswordInput
            label="Passphrase, if it has one"
            value={passphrase}
            onChange={(event) => setPassphrase(event.currentTarget.value)}
            autoComplete="off"
            error={fieldError(set.error, 'passphrase')}
          />
        </>
      )}
      <Note tone="quiet">
        Sealed at once and never shown again. Vendors never get it: the gateway puts it in.
      </Note>
    </FormDialog>
  )
}

function Switch({ asset, close }: { asset: Asset; close: () => void }) {
  const [reason, setReason] = useState('')
  const change = useAct('PATCH /api/assets/:id', close)
  return (
    <FormDialog
      title={`${asset.enabled ? 'Disable' : 'Enable'} ${asset.name}?`}
      verb={asset.enabled ? 'Disable' : 'Enable'}
      opened
      close={close}
      busy={change.isPending}
      error={change.error}
      submit={() => change.mutate({ params: { id: asset.id }, body: { enabled: !asset.enabled, reason } })}
    >
      {asset.enabled ? <p>Nobody can ask for it any more; a session that runs ends by its rule.</p> : null}
      <ReasonField value={reason} set={setReason} />
    </FormDialog>
  )
}

function ChooseGateway({ asset, close }: { asset: Asset; close: () => void }) {
  const gateways = useRead('GET /api/gateways', {})
  const [id, setId] = useState(asset.gateway?.id ?? '')
  const [reason, setReason] = useState('')
  const change = useAct('PATCH /api/assets/:id', close)
  const choices = (gateways.data ?? []).filter((gateway) => gateway.site.id === asset.site.id)
  const chosen = id || choices[0]?.id || ''
  return (
    <FormDialog
      title="Choose the gateway"
      verb="Use this gateway"
      opened
      close={close}
      busy={change.isPending}
      error={change.error}
      submit={() => change.mutate({ params: { id: asset.id }, body: { gatewayId: chosen, reason } })}
    >
      <ChoiceField
        label="Gateway"
        value={chosen}
        set={setId}
        data={choices.map((gateway) => ({
          value: gateway.id,
          label: `${gateway.name}, ${gateway.zone.name}`,
        }))}
        path="gatewayId"
      />
      <ReasonField value={reason} set={setReason} />
    </FormDialog>
  )
}
