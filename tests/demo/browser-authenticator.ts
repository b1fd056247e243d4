import type {
  PublicKeyCredentialCreationOptionsJSON,
  PublicKeyCredentialRequestOptionsJSON,
} from '@simplewebauthn/server'
import { SoftwareAuthenticator, type SoftwareCredential } from '../lab/software-authenticator.ts'

/**
 * The demo's stand-in for a phone's fingerprint sensor: puts a software passkey behind `navigator.credentials`, so
 * that approval works without hardware. What it returns are real assertions; the server checks them as any other.
 * Only the demo serves this file (bundled, beside a copy of the built pages); the product knows nothing of it.
 */
const STORE = 'sallyport-demo-passkeys'

interface DemoWindow extends Window {
  sallyportDemoPasskeys?: SoftwareCredential[]
}

const load = (): SoftwareCredential[] => {
  const own = JSON.parse(localStorage.getItem(STORE) ?? '[]') as SoftwareCredential[]
  return [...own, ...((window as DemoWindow).sallyportDemoPasskeys ?? [])]
}
const authenticator = new SoftwareAuthenticator(location.origin, load())

const toText = (bytes: ArrayBuffer | ArrayBufferView): string => {
  const view = ArrayBuffer.isView(bytes)
    ? new Uint8Array(bytes.buffer, bytes.byteOffset, bytes.byteLength)
    : new Uint8Array(bytes)
  let text = ''
  for (const byte of view) text += String.fromCharCode(byte)
  return btoa(text).replaceAll('+', '-').replaceAll('/', '_').replaceAll('=', '')
}
const toBytes = (text: string): ArrayBuffer =>
  Uint8Array.from(atob(text.replaceAll('-', '+').replaceAll('_', '/')), (char) => char.charCodeAt(0))
    .buffer as ArrayBuffer

/** The browser shows a sheet here; the demo shows a plain question, so that a person still decides. */
function confirmed(what: string): boolean {
  return window.confirm(`Demo passkey\n\n${what}`)
}

Object.defineProperty(navigator, 'credentials', {
  configurable: true,
  value: {
    async create({ publicKey }: { publicKey: PublicKeyCredentialCreationOptions }) {
      if (!confirmed('Make a passkey for this account?'))
        throw new DOMException('cancelled', 'NotAllowedError')
      const made = await authenticator.create({
        ...publicKey,
        challenge: toText(publicKey.challenge as ArrayBuffer),
        user: { ...publicKey.user, id: toText(publicKey.user.id as ArrayBuffer) },
        excludeCredentials: [],
      } as unknown as PublicKeyCredentialCreationOptionsJSON)
      localStorage.setItem(STORE, JSON.stringify(authenticator.credentials))
      return {
        ...made,
        rawId: toBytes(made.rawId),
        getClientExtensionResults: () => ({}),
        response: {
          clientDataJSON: toBytes(made.response.clientDataJSON),
          attestationObject: toBytes(made.response.attestationObject),
          getTransports: () => ['internal'],
        },
      }
    },
    async get({ publicKey }: { publicKey: PublicKeyCredentialRequestOptions }) {
      if (!confirmed('Use your passkey here?')) throw new DOMException('cancelled', 'NotAllowedError')
      const signed = await authenticator
        .get({
          ...publicKey,
          challenge: toText(publicKey.challenge as ArrayBuffer),
          allowCredentials: (publicKey.allowCredentials ?? []).map((one) => ({
            type: 'public-key',
            id: toText(one.id as ArrayBuffer),
          })),
        } as unknown as PublicKeyCredentialRequestOptionsJSON)
        .catch(() => {
          throw new DOMException('no demo passkey fits this person', 'NotAllowedError')
        })
      return {
        ...signed,
        rawId: toBytes(signed.rawId),
        getClientExtensionResults: () => ({}),
        response: {
          clientDataJSON: toBytes(signed.response.clientDataJSON),
          authenticatorData: toBytes(signed.response.authenticatorData),
          signature: toBytes(signed.response.signature),
          userHandle: signed.response.userHandle ? toBytes(signed.response.userHandle) : null,
        },
      }
    },
  },
})
Object.assign(window, {
  PublicKeyCredential: Object.assign(function PublicKeyCredential() {}, {
    isUserVerifyingPlatformAuthenticatorAvailable: async () => true,
    isConditionalMediationAvailable: async () => false,
  }),
})
