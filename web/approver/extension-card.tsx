import { Button } from '@mantine/core'
import { IconClockPlus } from '@tabler/icons-react'
import { useState } from 'react'
import { type Answer, call } from '../shared/api.ts'
import { ErrorNote, Instant, Note } from '../shared/kit.tsx'
import type { Me } from '../shared/me.ts'
import { refreshShown } from '../shared/query.ts'
import { clockTime, relative, viewerZone } from '../shared/time.ts'
import { Signing, type ToSign } from './signing.tsx'

export type Extension = Answer<'GET /api/extensions'>[number]

/** More time, asked from inside a session: granted or declined on the spot, with a signature of its own. */
export function ExtensionCard(props: { extension: Extension; me: Me; answered: () => void }) {
  const { extension, me } = props
  const zone = me.sites[0]?.timeZone ?? viewerZone()
  const [toSign, setToSign] = useState<(ToSign & { decision: 'granted' | 'declined' }) | null>(null)
  const [busy, setBusy] = useState(false)
  const [error, setError] = useState<unknown>(null)
  const [done, setDone] = useState<string | null>(null)
  const begin = async (decision: 'granted' | 'declined') => {
    setBusy(true)
    setError(null)
    try {
      const begun = await call('POST /api/extensions/:id/decision/options', {
        params: { id: extension.id },
        body: { decision },
      })
      setToSign({ ...begun, decision })
    } catch (failure) {
      setError(failure)
    } finally {
      setBusy(false)
    }
  }
  return (
    <article className="list-row">
      <div className="list-row-head">
        <h3 className="list-title">
          <IconClockPlus size={17} aria-hidden style={{ verticalAlign: '-3px' }} /> {extension.minutes} more
          minutes on {extension.asset}
        </h3>
        <span className="dim">asked {relative(extension.askedAt)}</span>
      </div>
      <p>"{extension.reason}"</p>
      <p className="dim">
        {extension.askedBy}, {extension.company}. New end: <Instant at={extension.newEnd} zone={zone} />
      </p>
      {error ? <ErrorNote error={error} /> : null}
      {done ? (
        <Note tone="normal">{done}</Note>
      ) : (
        <div className="row">
          <Button variant="default" onClick={() => void begin('declined')} disabled={busy}>
            Decline
          </Button>
          <Button onClick={() => void begin('granted')} loading={busy}>
            Give time until {clockTime(extension.newEnd, zone)}
          </Button>
        </div>
      )}
      <Signing
        toSign={toSign}
        verb={toSign?.decision === 'declined' ? 'Decline with passkey' : 'Give time with passkey'}
        zone={zone}
        close={() => setToSign(null)}
        send={async ({ challengeId }, assertion) => {
          await call('POST /api/extensions/:id/decision', {
            params: { id: extension.id },
            body: { challengeId, assertion },
          })
          setDone(
            toSign?.decision === 'granted'
              ? 'Given. The session goes on.'
              : 'Declined. The engineer sees it now.',
          )
          setToSign(null)
          props.answered()
          refreshShown()
        }}
      />
    </article>
  )
}
