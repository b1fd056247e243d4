import { Button, TextInput } from '@mantine/core'
import { IconFingerprint } from '@tabler/icons-react'
import { useEffect, useState } from 'react'
import { type Answer, call } from '../shared/api.ts'
import { ErrorNote, Note, Waiting } from '../shared/kit.tsx'
import { makePasskey } from '../shared/passkey.ts'

/** The token stands after `#`, so it reaches no log and no referrer; it leaves the address bar at once. */
function takeToken(): string {
  const token = window.location.hash.slice(1)
  if (token) window.history.replaceState(null, '', window.location.pathname)
  return token
}
const token = takeToken()

export function Component() {
  const [begun, setBegun] = useState<Answer<'POST /api/set-up/options'> | null>(null)
  const [label, setLabel] = useState('This device')
  const [error, setError] = useState<unknown>(null)
  const [busy, setBusy] = useState(false)
  useEffect(() => {
    document.title = 'Set up · Sallyport'
    if (token) call('POST /api/set-up/options', { body: { token } }).then(setBegun, setError)
  }, [])
  const finish = async () => {
    if (!begun) return
    setBusy(true)
    setError(null)
    try {
      const attestation = await makePasskey(begun.options)
      await call('POST /api/set-up', { body: { token, challengeId: begun.challengeId, attestation, label } })
      window.location.assign('/')
    } catch (failure) {
      setError(failure)
      setBusy(false)
      // A challenge counts once.
      call('POST /api/set-up/options', { body: { token } }).then(setBegun, () => undefined)
    }
  }
  return (
    <main className="entrance">
      <div className="panel entrance-card">
        <div className="entrance-head">
          <img src="/icon.svg" alt="" width={36} height={36} />
          <div>
            <h1>Set up your account</h1>
            <p className="dim">{begun ? `For ${begun.name}` : 'With a one-time link'}</p>
          </div>
        </div>
        {token ? null : (
          <Note tone="attention">
            <p>
              <strong>This address needs its one-time link.</strong> Open the whole link that you were given.
              Each link works once; an administrator can make a new one.
            </p>
          </Note>
        )}
        {error ? <ErrorNote error={error} /> : null}
        {begun ? (
          <form
            className="stack"
            onSubmit={(event) => {
              event.preventDefault()
              void finish()
            }}
          >
            <p>
              You sign in with a passkey: your phone, this computer, or a security key. There is no password
              to forget or to steal.
            </p>
            <TextInput
              label="Name of this passkey"
              description="So that you know it again in your account"
              value={label}
              onChange={(event) => setLabel(event.currentTarget.value)}
              required
              maxLength={120}
            />
            <Button
              type="submit"
              size="md"
              loading={busy}
              leftSection={<IconFingerprint size={18} aria-hidden />}
            >
              Create passkey
            </Button>
          </form>
        ) : token && !error ? (
          <Waiting rows={2} />
        ) : null}
      </div>
    </main>
  )
}
