import { isIP } from 'node:net'
import { Failure } from '../domain/failure.ts'

/** Where browsers reach this deployment. Passkeys are bound to `rpId`, cookies and the CSRF check to `origin`. */
export interface PublicOrigin {
  /** `https://name` or `https://name:port`, as browsers send it in `Origin`. */
  origin: string
  /** `name` or `name:port`, as browsers send it in `Host`. */
  host: string
  /** WebAuthn relying party id: the DNS name without a port. */
  rpId: string
  /** False only for the demo on http://localhost. */
  secure: boolean
}

export interface OriginOptions {
  /** For the demo's composition only: accept http://localhost:port. `npm start` never passes this. */
  allowHttpLocalhost?: boolean
}

/** Reads the public address. Throws Failure `public-name` with the reason when browsers could not work with it. */
export function publicOrigin(text: string, options: OriginOptions = {}): PublicOrigin {
  let url: URL
  try {
    url = new URL(text)
  } catch {
    throw refused(`"${text}" is not an address like https://sallyport.example.com.`)
  }
  if (url.username || url.password || url.search || url.hash || url.pathname !== '/') {
    throw refused(`"${text}" must be only https, a DNS name and perhaps a port.`)
  }
  const name = url.hostname
  if (isIP(name.replace(/^\[|\]$/g, '')) !== 0) {
    throw refused(
      `${name} is an IP address. Browsers refuse passkeys there (WebAuthn needs a DNS name), and nobody could approve anything.`,
    )
  }
  if (url.protocol === 'http:') {
    if (!(options.allowHttpLocalhost && name === 'localhost')) {
      throw refused(`"${text}" is not HTTPS. Browsers refuse passkeys and secure cookies without it.`)
    }
    return { origin: url.origin, host: url.host, rpId: name, secure: false }
  }
  if (url.protocol !== 'https:') throw refused(`"${text}" is not HTTPS.`)
  if (
    !/^(?=.{1,253}$)([a-z0-9]([a-z0-9-]{0,61}[a-z0-9])?)(\.[a-z0-9]([a-z0-9-]{0,61}[a-z0-9])?)*$/.test(name)
  ) {
    throw refused(`"${name}" is not a DNS name.`)
  }
  return { origin: url.origin, host: url.host, rpId: name, secure: true }
}

function refused(message: string): Failure {
  return new Failure(
    400,
    'public-name',
    message,
    'Set the public address to https:// and a DNS name that the plant resolves to this machine (an entry in the hosts file will do).',
  )
}
