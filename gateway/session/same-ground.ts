import { isDeepStrictEqual } from 'node:util'
import type { Grant } from '../../broker/domain/grant.ts'

/**
 * An extension moves times; it never moves a session to another asset, account, person or wider rights, and never to
 * another way of protecting it or another proof of who the asset is.
 */
export function sameGround(next: Grant, now: Grant): boolean {
  return (
    next.asset.id === now.asset.id &&
    next.endpoint === now.endpoint &&
    next.protocol === now.protocol &&
    isDeepStrictEqual(next.vnc, now.vnc) &&
    isDeepStrictEqual(next.rdp, now.rdp) &&
    isDeepStrictEqual(pinsOf(next), pinsOf(now)) &&
    next.account === now.account &&
    next.person.id === now.person.id &&
    next.address.host === now.address.host &&
    next.address.port === now.address.port &&
    next.viewOnly === now.viewOnly &&
    next.features.every((feature) => now.features.includes(feature))
  )
}

/** In whatever order the broker listed them. */
const pinsOf = ({ identities }: Grant): string[] =>
  identities.map(({ algorithm, fingerprint }) => `${algorithm} ${fingerprint}`).sort()
