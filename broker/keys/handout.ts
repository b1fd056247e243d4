import type { JWK } from 'jose'

export interface OfflineParts {
  deployment: string
  rootKid: string
  rootPublic: string
  root: JWK
  escrow: JWK
  /** Shares of the input key's private part, two of which open it. */
  inputKid: string
  inputShares: string[]
}

const RULE = '-'.repeat(78)

/**
 * What belongs offline, as one text that can be printed and cut into sheets: root, escrow, and one sheet for each
 * custodian of the input key. Values are what `sallyport` commands read back, one per line.
 */
export function handoutText(parts: OfflineParts): string {
  const sheet = (title: string, lines: string[]) => [RULE, title, '', ...lines, ''].join('\n')
  return [
    'Sallyport: offline keys',
    `Deployment ${parts.deployment}`,
    `Root key fingerprint (auditors compare this): ${parts.rootKid}`,
    '',
    'These parts exist nowhere else. Print or copy each sheet to the place named on it,',
    'then destroy this file. It is never written again, and nobody can restore a lost sheet.',
    '',
    sheet('ROOT KEY. Keep in a safe. Signs other keys in and out of use and new log epochs.', [
      `public   ${parts.rootPublic}`,
      `private  ${parts.root.d ?? ''}`,
    ]),
    sheet('ESCROW KEY. Keep in another safe. Opens every recording when all else is lost.', [
      `public x ${parts.escrow.x ?? ''}`,
      `public y ${parts.escrow.y ?? ''}`,
      `private  ${parts.escrow.d ?? ''}`,
    ]),
    ...parts.inputShares.map((share, n) =>
      sheet(
        `INPUT KEY, share ${n + 1} of ${parts.inputShares.length}. For one custodian. Any two shares open what people typed; one alone tells nothing.`,
        [`key      ${parts.inputKid}`, `share    ${share}`],
      ),
    ),
  ].join('\n')
}

/** Finds the root's private part in the text (or a sheet of it) that an operator gives back. Null when not there. */
export function rootFromHandout(text: string): JWK | null {
  const match = /ROOT KEY[\s\S]*?public\s+([A-Za-z0-9_-]{43})\s+private\s+([A-Za-z0-9_-]{43})/.exec(text)
  return match ? { kty: 'OKP', crv: 'Ed25519', x: match[1] ?? '', d: match[2] ?? '' } : null
}
