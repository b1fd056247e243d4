import {
  type PublicKeyCredentialCreationOptionsJSON,
  type PublicKeyCredentialRequestOptionsJSON,
  startAuthentication,
  startRegistration,
  WebAuthnAbortService,
} from '@simplewebauthn/browser'
import { ApiFailure } from './api.ts'

/** What the API carries: the browser's own JSON forms, checked by the broker's WebAuthn library. */
type Loose = Record<string, unknown>

/** Asks an authenticator (through navigator.credentials only) to sign the server's challenge. */
export async function assertPasskey(options: Loose): Promise<Loose> {
  try {
    const answer = await startAuthentication({
      optionsJSON: options as unknown as PublicKeyCredentialRequestOptionsJSON,
    })
    return { ...answer }
  } catch (error) {
    throw refused(error)
  }
}

/** Makes a new passkey on this device or key. */
export async function makePasskey(options: Loose): Promise<Loose> {
  try {
    const answer = await startRegistration({
      optionsJSON: options as unknown as PublicKeyCredentialCreationOptionsJSON,
    })
    return { ...answer }
  } catch (error) {
    throw refused(error)
  }
}

/** Takes back what an authenticator was asked for: who closed the dialog signs nothing any more. */
export function cancelPasskey(): void {
  WebAuthnAbortService.cancelCeremony()
}

function refused(error: unknown): ApiFailure {
  const name = error instanceof Error ? error.name : ''
  const [message, next] =
    name === 'InvalidStateError'
      ? ['This device already holds a passkey for you here.', 'Use it, or take another device or key.']
      : name === 'SecurityError'
        ? ['The browser refuses passkeys at this address.', 'Open Sallyport under its own name, with https.']
        : ['No passkey was used.', 'Try again, and confirm on your device when it asks. Nothing was changed.']
  return new ApiFailure(0, { code: 'passkey-not-used', message, next, requestId: '-' })
}
