import { ROLES, type Role } from '../domain/words.ts'

/** How an identity provider's claims become an organisation and roles here. From the configuration file. */
export interface ClaimMapping {
  /** Dotted path of the claim that names the organisation; absent: everybody there belongs to `organisation`. */
  organisationClaim?: string
  /** Claim value -> `staff` (the plant's own people) or the name of a vendor in the inventory. */
  organisations: Readonly<Record<string, 'staff' | { vendor: string }>>
  /** The key into `organisations` for everybody, when there is no claim. */
  organisation?: string
  /** Dotted path of the claim with group or role names: a text or a list of texts. */
  rolesClaim: string
  /** Claim value -> roles. `site` is a site's name; null only for administrators (the whole deployment). */
  roles: Readonly<Record<string, readonly { role: Role; site: string | null }[]>>
}

export interface Mapped {
  organisation: 'staff' | { vendor: string }
  roles: { role: Role; site: string | null }[]
}

/** Null when the claims name no organisation that we know. What is unknown gives nothing. */
export function mapClaims(claims: Readonly<Record<string, unknown>>, mapping: ClaimMapping): Mapped | null {
  const names =
    mapping.organisationClaim === undefined
      ? mapping.organisation === undefined
        ? []
        : [mapping.organisation]
      : texts(claimAt(claims, mapping.organisationClaim))
  const known = names.flatMap((name) => {
    const found = Object.hasOwn(mapping.organisations, name) ? mapping.organisations[name] : undefined
    return found ? [found] : []
  })
  const [organisation] = known
  // Two organisations at once would let one person request and approve.
  if (!organisation || known.length !== 1) return null
  const roles = texts(claimAt(claims, mapping.rolesClaim)).flatMap((name) =>
    Object.hasOwn(mapping.roles, name) ? [...(mapping.roles[name] ?? [])] : [],
  )
  const allowed = roles.filter(
    ({ role, site }) =>
      ROLES.includes(role) &&
      (site !== null || role === 'administrator') &&
      (role === 'vendor') === (organisation !== 'staff'),
  )
  const once = new Map(allowed.map((entry) => [`${entry.role} ${entry.site ?? ''}`, entry]))
  return { organisation, roles: [...once.values()] }
}

function claimAt(claims: Readonly<Record<string, unknown>>, path: string): unknown {
  let at: unknown = claims
  for (const key of path.split('.')) {
    if (typeof at !== 'object' || at === null || !Object.hasOwn(at, key)) return undefined
    at = (at as Record<string, unknown>)[key]
  }
  return at
}

function texts(value: unknown): string[] {
  if (typeof value === 'string') return [value]
  return Array.isArray(value)
    ? value.filter((item): item is string => typeof item === 'string').slice(0, 500)
    : []
}
