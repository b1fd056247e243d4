import { Button, Modal, NativeSelect, Textarea, TextInput } from '@mantine/core'
import { IconDownload } from '@tabler/icons-react'
import { useState } from 'react'
import { callRaw } from '../shared/api.ts'
import { ErrorNote, fieldError, Note } from '../shared/kit.tsx'
import { makeRecipientKey, type PublicJwk, readPublicJwk, saveFile } from './recipient-key.ts'

/** One zip that proves itself away from here. Its screen keys are wrapped to one recipient. */
export function PackageDialog(props: { recordingId: string; opened: boolean; close: () => void }) {
  const [name, setName] = useState('')
  const [purpose, setPurpose] = useState('')
  const [way, setWay] = useState<'make' | 'paste'>('make')
  const [pasted, setPasted] = useState('')
  const [problem, setProblem] = useState<string | null>(null)
  const [error, setError] = useState<unknown>(null)
  const [busy, setBusy] = useState(false)
  const [done, setDone] = useState(false)
  const pack = async () => {
    setBusy(true)
    setError(null)
    setProblem(null)
    try {
      let recipient: PublicJwk
      let privateFile: string | null = null
      if (way === 'make') {
        const made = await makeRecipientKey()
        recipient = made.publicJwk
        privateFile = made.privateFile
      } else {
        try {
          recipient = readPublicJwk(JSON.parse(pasted))
        } catch (failure) {
          setProblem(failure instanceof TypeError ? failure.message : 'This is not JSON.')
          return
        }
      }
      const response = await callRaw('POST /api/recordings/:id/package', {
        params: { id: props.recordingId },
        body: { recipient, recipientName: name.trim(), purpose: purpose.trim() },
      })
      const zip = await response.blob()
      // The key only once there is something that it opens.
      if (privateFile)
        saveFile(
          `sallyport-${props.recordingId}-private-key.jwk.json`,
          new Blob([privateFile], { type: 'application/jwk+json' }),
        )
      saveFile(`sallyport-${props.recordingId}.zip`, zip)
      setDone(true)
    } catch (failure) {
      setError(failure)
    } finally {
      setBusy(false)
    }
  }
  const close = () => {
    setDone(false)
    setError(null)
    props.close()
  }
  return (
    <Modal opened={props.opened} onClose={close} title="Evidence package" size="lg">
      {done ? (
        <div className="stack">
          <Note tone="normal">
            <p>
              <strong>Handed over.</strong> Check it with{' '}
              <span className="mono">sallyport verify FILE --trust keys.json</span>, on a machine without a
              network if you like.
            </p>
          </Note>
          {way === 'make' ? (
            <p>
              Two files were saved: the package, and the private key that opens it. The key exists nowhere
              else; keep it apart from the package.
            </p>
          ) : null}
          <p>
            The trust file should reach you by another way too.{' '}
            <a href="/api/trust" download="keys.json">
              Download keys.json
            </a>
          </p>
          <Button onClick={close}>Close</Button>
        </div>
      ) : (
        <form
          className="stack"
          onSubmit={(event) => {
            event.preventDefault()
            void pack()
          }}
        >
          <p className="dim">
            Recording, manifest, receipt, approvals, ticket, grant and the log's slice, in one zip. Handing it
            over is itself an entry in the log.
          </p>
          <TextInput
            label="For whom"
            placeholder="Name and organisation"
            value={name}
            onChange={(event) => setName(event.currentTarget.value)}
            required
            maxLength={120}
            error={fieldError(error, 'recipientName')}
          />
          <Textarea
            label="Purpose"
            value={purpose}
            onChange={(event) => setPurpose(event.currentTarget.value)}
            required
            minLength={3}
            maxLength={300}
            autosize
            minRows={2}
            error={fieldError(error, 'purpose')}
          />
          <NativeSelect
            label="Key that opens it"
            value={way}
            onChange={(event) => setWay(event.currentTarget.value === 'paste' ? 'paste' : 'make')}
            data={[
              { value: 'make', label: 'Make one now, in this browser, and save it as a file' },
              { value: 'paste', label: "The recipient's own public key (JWK)" },
            ]}
          />
          {way === 'paste' ? (
            <Textarea
              label="Public key"
              placeholder='{"kty":"EC","crv":"P-256","x":"…","y":"…"}'
              value={pasted}
              onChange={(event) => setPasted(event.currentTarget.value)}
              required
              autosize
              minRows={3}
              classNames={{ input: 'mono' }}
              error={problem ?? fieldError(error, 'recipient')}
            />
          ) : null}
          {error ? <ErrorNote error={error} /> : null}
          <Button type="submit" loading={busy} leftSection={<IconDownload size={17} aria-hidden />}>
            Build and download
          </Button>
        </form>
      )}
    </Modal>
  )
}
