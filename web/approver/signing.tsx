import { Button, Modal } from '@mantine/core'
import { IconFingerprint } from '@tabler/icons-react'
import { useRef, useState } from 'react'
import { Link } from 'react-router'
import { ErrorNote, Note } from '../shared/kit.tsx'
import { assertPasskey, cancelPasskey } from '../shared/passkey.ts'
import { readableDocument } from './readable-document.ts'
import './decide.css'

/** What the server built to be signed: shown, not composed here. */
export interface ToSign {
  challengeId: string
  document: Record<string, unknown>
  meaning: string
  options: Record<string, unknown>
}

interface Props {
  toSign: ToSign | null
  verb: string
  close: () => void
  /** Sends the assertion; resolves when the server has accepted it. */
  send: (toSign: ToSign, assertion: Record<string, unknown>) => Promise<void>
  zone: string
}

/** The last look: the document exactly as the server built it, then the passkey. */
export function Signing({ toSign, verb, close, send, zone }: Props) {
  const [phase, setPhase] = useState<'reading' | 'device' | 'sending'>('reading')
  const [error, setError] = useState<unknown>(null)
  /** Counts tries: the answer of a device that was asked before the dialog was closed is no answer any more. */
  const tried = useRef(0)
  const sign = async () => {
    if (!toSign) return
    const mine = ++tried.current
    setPhase('device')
    setError(null)
    try {
      const assertion = await assertPasskey(toSign.options)
      if (mine !== tried.current) return
      setPhase('sending')
      await send(toSign, assertion)
    } catch (failure) {
      if (mine === tried.current) setError(failure)
    } finally {
      if (mine === tried.current) setPhase('reading')
    }
  }
  const shut = () => {
    // A signature on its way is answered in any case, within the time limit of every call.
    if (phase === 'sending') return
    tried.current++
    if (phase === 'device') cancelPasskey()
    setPhase('reading')
    setError(null)
    close()
  }
  return (
    <Modal
      opened={toSign !== null}
      onClose={shut}
      title="You sign this"
      size="lg"
      closeOnClickOutside={false}
    >
      {toSign ? (
        <div className="stack">
          <p className="meaning">{toSign.meaning}</p>
          <dl className="signed-facts signed-document">
            {readableDocument(toSign.document, zone).map((line) => (
              <div key={line.name}>
                <dt>{line.name}</dt>
                <dd>{line.text}</dd>
              </div>
            ))}
          </dl>
          <details>
            <summary>The document, byte for byte</summary>
            {/* biome-ignore lint/a11y/noNoninteractiveTabindex: a scrollable region must be reachable by keyboard */}
            <pre className="bytes mono" tabIndex={0}>
              {JSON.stringify(toSign.document, null, 2)}
            </pre>
          </details>
          <Note tone="quiet">
            Your device does not show what it signs. What counts is what stands here; it is kept with your
            signature.
          </Note>
          {error ? <ErrorNote error={error} /> : null}
          <p className="dim small" role="status">
            {phase === 'device'
              ? 'Confirm on your device. If it does not ask, go back and try again: nothing is signed until it does.'
              : ''}
          </p>
          <div className="row row-end signing-actions">
            <Button variant="default" onClick={shut} disabled={phase === 'sending'}>
              Back
            </Button>
            <Button
              onClick={() => void sign()}
              loading={phase !== 'reading'}
              leftSection={<IconFingerprint size={18} aria-hidden />}
              data-autofocus
            >
              {verb}
            </Button>
          </div>
        </div>
      ) : null}
    </Modal>
  )
}

/** Why the buttons that sign are not there for this person, and what to do. */
export function CannotSign() {
  return (
    <Note tone="attention">
      <p>
        <strong>You cannot sign yet.</strong> Approvals are signed with a passkey that an administrator
        confirmed. <Link to="/account">See your passkeys</Link>
      </p>
    </Note>
  )
}
