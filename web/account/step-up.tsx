import { Button, Modal } from '@mantine/core'
import { IconFingerprint, IconLogin2 } from '@tabler/icons-react'
import { type ReactNode, useEffect, useRef, useState } from 'react'
import { call, setHooks } from '../shared/api.ts'
import { ErrorNote } from '../shared/kit.tsx'
import { assertPasskey, cancelPasskey } from '../shared/passkey.ts'
import { queryClient } from '../shared/query.ts'
import { STEP_UP_CHANNEL } from './step-up-channel.ts'

interface Provider {
  id: string
  name: string
}

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
  /** The identity provider that was opened in a window of its own. */
  const [elsewhere, setElsewhere] = useState<string | null>(null)
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
    channel.onmessage = () => {
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
    const address = `/auth/oidc/${encodeURIComponent(provider.id)}/start?stepUp=1&returnTo=%2Fstepped-up`
    const opened = window.open(address, 'sallyport-step-up', 'width=520,height=680')
    if (opened) setElsewhere(provider.name)
    else
      window.location.assign(address.replace('%2Fstepped-up', encodeURIComponent(window.location.pathname)))
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
          {elsewhere ? (
            <p className="dim" role="status">
              A window of {elsewhere} has opened. Sign in there; this page goes on by itself. Closed it?
              Choose again.
            </p>
          ) : null}
          <Button variant="subtle" onClick={() => finish(false)}>
            Not now
          </Button>
        </div>
      </Modal>
    </>
  )
}
