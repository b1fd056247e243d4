import { Button, Modal, TextInput } from '@mantine/core'
import { IconFingerprint, IconTrash } from '@tabler/icons-react'
import { useState } from 'react'
import { useOutletContext } from 'react-router'
import { type Answer, call } from '../shared/api.ts'
import { Empty, ErrorNote, Fact, Facts, Note, Page, Section, Shown, Status, When } from '../shared/kit.tsx'
import { hasRole, type Me } from '../shared/me.ts'
import { makePasskey } from '../shared/passkey.ts'
import { refreshShown, useAct, useRead } from '../shared/query.ts'
import { viewerZone } from '../shared/time.ts'
import { ROLE } from '../shared/words.ts'

type Passkey = Answer<'GET /api/me/passkeys'>[number]

export function Component() {
  const me = useOutletContext<Me>()
  const passkeys = useRead('GET /api/me/passkeys', {})
  const [adding, setAdding] = useState(false)
  const zone = me.sites[0]?.timeZone ?? viewerZone()
  const approver = hasRole(me, 'approver')
  return (
    <Page title="My account">
      <div className="panel">
        <Facts>
          <Fact name="Name">{me.person.name}</Fact>
          {me.person.vendor ? <Fact name="Company">{me.person.vendor.name}</Fact> : null}
          <Fact name="E-mail">{me.person.email ?? 'None kept'}</Fact>
          <Fact name="Signed in with">{me.person.signedInWith}</Fact>
          <Fact name="Roles">
            <ul>
              {me.roles.map((held) => (
                <li key={`${held.role}${held.site?.id ?? ''}`}>
                  {ROLE[held.role]}, {held.site?.name ?? 'whole installation'}
                </li>
              ))}
            </ul>
          </Fact>
          {approver ? (
            <Fact name="Signing">
              {me.signingPasskey ? (
                <Status tone="normal" word="You can sign approvals" />
              ) : (
                <Status tone="attention" word="No confirmed passkey: you cannot sign approvals yet" />
              )}
            </Fact>
          ) : null}
        </Facts>
      </div>
      <Section
        title="Passkeys"
        aside={
          <Button
            variant="default"
            leftSection={<IconFingerprint size={17} aria-hidden />}
            onClick={() => setAdding(true)}
          >
            Add a passkey
          </Button>
        }
      >
        {approver ? (
          <p className="dim">
            A new passkey signs in at once, but signs approvals only after an administrator confirmed it.
          </p>
        ) : null}
        <Shown of={passkeys}>
          {(list) =>
            list.length === 0 ? (
              <Empty title="No passkey yet">
                You sign in with your company's account. A passkey lets you come in when that is down, and an
                approver needs one to sign.
              </Empty>
            ) : (
              <ul className="list">
                {list.map((passkey) => (
                  <PasskeyRow
                    key={passkey.id}
                    passkey={passkey}
                    zone={zone}
                    approver={approver}
                    last={list.length === 1}
                  />
                ))}
              </ul>
            )
          }
        </Shown>
      </Section>
      <AddPasskey opened={adding} close={() => setAdding(false)} />
    </Page>
  )
}

function PasskeyRow(props: { passkey: Passkey; zone: string; approver: boolean; last: boolean }) {
  const { passkey, zone } = props
  const [asking, setAsking] = useState(false)
  const remove = useAct('DELETE /api/me/passkeys/:id', () => setAsking(false))
  return (
    <li className="list-row">
      <div className="list-row-head">
        <span className="list-title">{passkey.label}</span>
        {props.approver ? (
          passkey.confirmedBy ? (
            <Status tone="normal" word={`Confirmed by ${passkey.confirmedBy}`} />
          ) : (
            <Status tone="attention" word="Waits for an administrator to confirm it" />
          )
        ) : null}
      </div>
      <div className="row row-between">
        <span className="dim">
          Added <When at={passkey.createdAt} zone={zone} short />,{' '}
          {passkey.lastUsedAt ? (
            <>
              last used <When at={passkey.lastUsedAt} zone={zone} short />
            </>
          ) : (
            'never used'
          )}
          {passkey.backedUp ? ', synced to a password manager' : ', bound to one device'}
        </span>
        <Button
          variant="subtle"
          color="alarm"
          leftSection={<IconTrash size={16} aria-hidden />}
          onClick={() => setAsking(true)}
        >
          Remove
        </Button>
      </div>
      <Modal opened={asking} onClose={() => setAsking(false)} title={`Remove "${passkey.label}"?`}>
        <div className="stack">
          <p>
            You cannot sign in with it any more.{' '}
            {props.last
              ? 'It is your last one: without another way to sign in you need a new set-up link.'
              : ''}{' '}
            What it signed stays valid.
          </p>
          {remove.error ? <ErrorNote error={remove.error} /> : null}
          <div className="row row-end">
            <Button variant="default" onClick={() => setAsking(false)}>
              Keep it
            </Button>
            <Button
              color="alarm"
              loading={remove.isPending}
              onClick={() => remove.mutate({ params: { id: passkey.id } })}
            >
              Remove passkey
            </Button>
          </div>
        </div>
      </Modal>
    </li>
  )
}

function AddPasskey({ opened, close }: { opened: boolean; close: () => void }) {
  const [label, setLabel] = useState('')
  const [error, setError] = useState<unknown>(null)
  const [busy, setBusy] = useState(false)
  const add = async () => {
    setBusy(true)
    setError(null)
    try {
      const begun = await call('POST /api/me/passkeys/options', { body: {} })
      const attestation = await makePasskey(begun.options)
      await call('POST /api/me/passkeys', { body: { challengeId: begun.challengeId, attestation, label } })
      refreshShown()
      setLabel('')
      close()
    } catch (failure) {
      setError(failure)
    } finally {
      setBusy(false)
    }
  }
  return (
    <Modal opened={opened} onClose={close} title="Add a passkey">
      <form
        className="stack"
        onSubmit={(event) => {
          event.preventDefault()
          void add()
        }}
      >
        {error ? <ErrorNote error={error} /> : null}
        <TextInput
          label="Name"
          placeholder="Phone, office computer, security key"
          value={label}
          onChange={(event) => setLabel(event.currentTarget.value)}
          required
          maxLength={120}
          data-autofocus
        />
        <Note tone="normal">
          Your browser asks where to keep it: this device, your phone, or a security key.
        </Note>
        <Button type="submit" loading={busy}>
          Create passkey
        </Button>
      </form>
    </Modal>
  )
}
