import type { Role } from './words.ts'

/** Who makes a request: a signed-in person, as of now (roles are read afresh, not from the cookie). */
export interface Principal {
  personId: string
  issuer: string
  subject: string
  name: string
  vendorId: string | null
  roles: readonly { role: Role; siteId: string | null }[]
  /** Server-side sign-in session. */
  signInId: string
  method: 'passkey' | 'oidc'
  /** Time of the last strong authentication, ms since the epoch. */
  authenticatedAt: number
}

/** Whether the principal holds one of the roles at this site. Only `administrator` may be held for all sites. */
export function holds(principal: Principal, siteId: string | null, ...roles: readonly Role[]): boolean {
  return principal.roles.some(
    (held) =>
      roles.includes(held.role) &&
      ((held.siteId !== null && held.siteId === siteId) ||
        (held.siteId === null && held.role === 'administrator')),
  )
}

export function holdsAnywhere(principal: Principal, ...roles: readonly Role[]): boolean {
  return principal.roles.some((held) => roles.includes(held.role))
}

/** The sites at which the principal holds one of the roles; `all` for a deployment-wide administrator. */
export function sitesOf(principal: Principal, ...roles: readonly Role[]): 'all' | string[] {
  const held = principal.roles.filter((entry) => roles.includes(entry.role))
  if (held.some((entry) => entry.siteId === null && entry.role === 'administrator')) return 'all'
  return [...new Set(held.flatMap((entry) => (entry.siteId === null ? [] : [entry.siteId])))]
}
