import { Button, Modal } from '@mantine/core'
import { IconFingerprint } from '@tabler/icons-react'
import { useState } from 'react'
import { ErrorNote, Note } from '../shared/kit.tsx'
import { assertPasskey } from '../shared/passkey.ts'
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
  send: (assertion: Record<string, unknown>) => Promise<void>
  zone: string
}

/** The last look: the document exactly as the server built it, then the passkey. */
export function Signing({ toSign, verb, close, send, zone }: Props) {
  const [busy, setBusy] = useState(false)
  const [error, setError] = useState<unknown>(null)
  const sign = async () => {
    if (!toSign) return
    setBusy(true)
    setError(null)
    try {
      await send(await assertPasskey(toSign.options))
    } catch (failure) {
      setError(failure)
    } finally {
      setBusy(false)
    }
  }
  const shut = () => {
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
          <div className="row row-end signing-actions">
            <Button variant="default" onClick={shut} disabled={busy}>
              Back
            </Button>
            <Button
              onClick={() => void sign()}
              loading={busy}
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
