import { Button } from '@mantine/core'
import { IconFingerprint, IconLogin2 } from '@tabler/icons-react'
import { useEffect, useState } from 'react'
import { useSearchParams } from 'react-router'
import { call } from '../shared/api.ts'
import { ErrorNote, Note, Shown } from '../shared/kit.tsx'
import { assertPasskey } from '../shared/passkey.ts'
import { useRead } from '../shared/query.ts'
import { PROBLEM, PROBLEM_ELSE, problemIn } from './sign-in-problems.ts'

/** Only a path of this site: a link must not send somebody elsewhere after the sign-in. */
export function safeReturn(value: string | null): string {
  return value && /^\/(?![/\\])/.test(value) && !value.startsWith('/sign-in') ? value : '/'
}

export function Component() {
  const [search] = useSearchParams()
  const returnTo = safeReturn(search.get('returnTo'))
  const problem = problemIn(search)
  const ways = useRead('GET /api/sign-in/providers', {})
  const [busy, setBusy] = useState(false)
  const [error, setError] = useState<unknown>(null)
  useEffect(() => {
    document.title = 'Sign in · Sallyport'
  }, [])
  const withPasskey = async () => {
    setBusy(true)
    setError(null)
    try {
      const begun = await call('POST /api/sign-in/passkey/options', { body: {} })
      const assertion = await assertPasskey(begun.options)
      await call('POST /api/sign-in/passkey', { body: { challengeId: begun.challengeId, assertion } })
      window.location.assign(returnTo)
    } catch (failure) {
      setError(failure)
      setBusy(false)
    }
  }
  return (
    <main className="entrance">
      <div className="panel entrance-card">
        <div className="entrance-head">
          <img src="/icon.svg" alt="" width={36} height={36} />
          <div>
            <h1>Sign in</h1>
            <p className="dim">{ways.data?.deployment.name ?? 'Sallyport'}</p>
          </div>
        </div>
        <Shown of={ways}>
          {(data) => (
            <div className="stack">
              {data.deployment.setupDone ? null : (
                <Note tone="attention">
                  <p>
                    <strong>This installation is new.</strong> Its first start printed a one-time set-up link
                    for the first administrator. Open that link.
                  </p>
                </Note>
              )}
              {problem ? (
                <Note tone="attention">
                  <p>
                    <strong>You are not signed in.</strong> {PROBLEM[problem] ?? PROBLEM_ELSE}
                  </p>
                  <p className="mono small">{problem}</p>
                </Note>
              ) : null}
              {error ? <ErrorNote error={error} /> : null}
              {data.providers.map((provider) => (
                <Button
                  key={provider.id}
                  component="a"
                  href={`/auth/oidc/${encodeURIComponent(provider.id)}/start?returnTo=${encodeURIComponent(returnTo)}`}
                  size="md"
                  leftSection={<IconLogin2 size={18} aria-hidden />}
                >
                  Sign in with {provider.name}
                </Button>
              ))}
              {data.passkeys ? (
                <Button
                  size="md"
                  variant={data.providers.length > 0 ? 'default' : 'filled'}
                  leftSection={<IconFingerprint size={18} aria-hidden />}
                  onClick={() => void withPasskey()}
                  loading={busy}
                >
                  Sign in with passkey
                </Button>
              ) : null}
              <p className="dim small">
                Use your company's sign-in, or the passkey from your set-up link. Lost it? An administrator of
                the site gives you a new link.
              </p>
            </div>
          )}
        </Shown>
      </div>
    </main>
  )
}
