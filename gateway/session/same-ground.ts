import type { Grant } from '../../broker/domain/grant.ts'

/** An extension moves times; it never moves a session to another asset, account, person or wider rights. */
export function sameGround(next: Grant, now: Grant): boolean {
  return (
    next.asset.id === now.asset.id &&
    next.endpoint === now.endpoint &&
    next.account === now.account &&
    next.person.id === now.person.id &&
    next.address.host === now.address.host &&
    next.address.port === now.address.port &&
    next.viewOnly === now.viewOnly &&
    next.features.every((feature) => now.features.includes(feature))
  )
}
