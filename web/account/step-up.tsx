import { Button, Modal } from '@mantine/core'
import { IconFingerprint, IconLogin2 } from '@tabler/icons-react'
import { type ReactNode, useEffect, useRef, useState } from 'react'
import { call, setHooks } from '../shared/api.ts'
import { ErrorNote, Note } from '../shared/kit.tsx'
import { assertPasskey, cancelPasskey } from '../shared/passkey.ts'
import { queryClient } from '../shared/query.ts'
import { PROBLEM, PROBLEM_ELSE } from './sign-in-problems.ts'
import { STEP_UP_CHANNEL, type StepUpOutcome } from './step-up-channel.ts'

interface Provider {
  id: string
  name: string
}

/** How the way through an identity provider stands. */
type Elsewhere =
  | { is: 'open'; provider: Provider }
  | { is: 'blocked'; provider: Provider }
  | { is: 'refused'; problem: string }

/**
 * "Prove that it is you": opened when the server asks for fresh strong authentication, in the middle of what the
 * person was doing. An identity provider opens in a window of its own, so nothing typed here is lost.
 */
export function StepUpProvider({ children }: { children: ReactNode }) {
  const [open, setOpen] = useState(false)
  const [busy, setBusy] = useState(false)
  const [error, setError] = useState<unknown>(null)
  const [providers, setProviders] = useState<Provider[]>([])
  const [passkeys, setPasskeys] = useState(true)
  const [elsewhere, setElsewhere] = useState<Elsewhere | null>(null)
  const answer = useRef<((done: boolean) => void)[]>([])

  useEffect(() => {
    setHooks({
      stepUp: () =>
        new Promise<boolean>((resolve) => {
          answer.current.push(resolve)
          setError(null)
          setElsewhere(null)
          setOpen(true)
          call('GET /api/sign-in/providers', {}).then(
            (ways) => {
              setProviders(ways.providers)
              setPasskeys(ways.passkeys)
            },
            (failure: unknown) => setError(failure),
          )
        }),
    })
  }, [])

  const finish = (done: boolean) => {
    if (!done && busy) cancelPasskey()
    setOpen(false)
    setBusy(false)
    for (const resolve of answer.current.splice(0)) resolve(done)
    if (done) void queryClient.invalidateQueries({ queryKey: ['GET /api/me'] })
  }
  useEffect(() => {
    if (!open) return
    const channel = new BroadcastChannel(STEP_UP_CHANNEL)
    channel.onmessage = ({ data }: MessageEvent<StepUpOutcome>) => {
      if (data.problem !== null) {
        setElsewhere({ is: 'refused', problem: data.problem })
        return
      }
      setOpen(false)
      setBusy(false)
      for (const resolve of answer.current.splice(0)) resolve(true)
      void queryClient.invalidateQueries({ queryKey: ['GET /api/me'] })
    }
    return () => channel.close()
  }, [open])

  const withPasskey = async () => {
    setBusy(true)
    setError(null)
    try {
      const begun = await call('POST /api/sign-in/passkey/options', { body: {} })
      const assertion = await assertPasskey(begun.options)
      await call('POST /api/sign-in/passkey', { body: { challengeId: begun.challengeId, assertion } })
      finish(true)
    } catch (failure) {
      setError(failure)
      setBusy(false)
    }
  }
  const withProvider = (provider: Provider) => {
    setError(null)
    const opened = window.open(addressAt(provider, '/stepped-up'), STEP_UP_CHANNEL, 'width=520,height=680')
    setElsewhere({ is: opened ? 'open' : 'blocked', provider })
  }

  return (
    <>
      {children}
      <Modal opened={open} onClose={() => finish(false)} title="Confirm that it is you" zIndex={400}>
        <div className="stack">
          <p>This step needs a fresh sign-in. You stay where you are, and what you typed is kept.</p>
          {error ? <ErrorNote error={error} /> : null}
          {passkeys ? (
            <Button
              fullWidth
              leftSection={<IconFingerprint size={18} aria-hidden />}
              onClick={() => void withPasskey()}
              loading={busy}
              data-autofocus
            >
              Confirm with passkey
            </Button>
          ) : null}
          {providers.map((provider) => (
            <Button
              key={provider.id}
              fullWidth
              variant="default"
              leftSection={<IconLogin2 size={18} aria-hidden />}
              onClick={() => withProvider(provider)}
            >
              Confirm with {provider.name}
            </Button>
          ))}
          {elsewhere ? <ElsewhereNote of={elsewhere} /> : null}
          <Button variant="subtle" onClick={() => finish(false)}>
            Not now
          </Button>
        </div>
      </Modal>
    </>
  )
}

const addressAt = (provider: Provider, returnTo: string) =>
  `/auth/oidc/${encodeURIComponent(provider.id)}/start?stepUp=1&returnTo=${encodeURIComponent(returnTo)}`

/** What became of the other window. That it was closed cannot be seen from here (Cross-Origin-Opener-Policy). */
function ElsewhereNote({ of }: { of: Elsewhere }) {
  return (
    <div role="status">
      {of.is === 'open' ? (
        <p className="dim">
          A window of {of.provider.name} has opened. Sign in there; this page goes on by itself. Closed it?
          Choose again.
        </p>
      ) : of.is === 'blocked' ? (
        <Note tone="attention">
          <p>
            <strong>Your browser kept the window of {of.provider.name} from opening.</strong> Allow pop-ups
            for this site and choose again. Or{' '}
            <a href={addressAt(of.provider, window.location.pathname)}>sign in there in this tab</a>: you come
            back to this page, but what you typed on it is lost.
          </p>
        </Note>
      ) : (
        <Note tone="attention">
          <p>
            <strong>This does not count.</strong> {PROBLEM[of.problem] ?? PROBLEM_ELSE}
          </p>
          <p className="mono small">{of.problem}</p>
        </Note>
      )}
    </div>
  )
}
