/**
 * The recipient's key of an evidence package: made in this browser, its private half handed over as a file and kept
 * nowhere else. ECDH on P-256, as the package's key wrapping wants it.
 */
export interface PublicJwk {
  kty: 'EC'
  crv: 'P-256'
  x: string
  y: string
  kid?: string
}

export async function makeRecipientKey(): Promise<{ publicJwk: PublicJwk; privateFile: string }> {
  const pair = await crypto.subtle.generateKey({ name: 'ECDH', namedCurve: 'P-256' }, true, ['deriveBits'])
  const secret = await crypto.subtle.exportKey('jwk', pair.privateKey)
  const kid = `recipient-${crypto.randomUUID()}`
  const publicJwk = readPublicJwk({ ...secret, kid })
  return {
    publicJwk,
    privateFile: `${JSON.stringify({ kty: 'EC', crv: 'P-256', x: secret.x, y: secret.y, d: secret.d, kid }, null, 2)}\n`,
  }
}

/** Takes the public fields only: a private key that somebody pastes never leaves the page. Throws with a sentence. */
export function readPublicJwk(value: unknown): PublicJwk {
  if (typeof value !== 'object' || value === null) throw new TypeError('This is not a JSON Web Key.')
  const { kty, crv, x, y, kid } = value as Record<string, unknown>
  if (kty !== 'EC' || crv !== 'P-256') throw new TypeError('The key must be of type EC on the curve P-256.')
  if (typeof x !== 'string' || typeof y !== 'string')
    throw new TypeError('The key has no public point (x, y).')
  return { kty, crv, x, y, ...(typeof kid === 'string' && kid.length <= 100 ? { kid } : {}) }
}

/** Hands bytes to the person as a file. */
export function saveFile(name: string, content: Blob): void {
  const url = URL.createObjectURL(content)
  const link = document.createElement('a')
  link.href = url
  link.download = name
  link.click()
  setTimeout(() => URL.revokeObjectURL(url), 60_000)
}
