import type { AuditActor, AuditEntry } from '../contract/audit-entry.ts'
import type { Principal } from '../domain/principal.ts'

/** A signed-in person as the actor of an audit entry. The vendor's id stands for the organisation. */
export function actorOf(principal: Principal): AuditActor {
  return {
    kind: 'person',
    id: principal.personId,
    name: principal.name,
    organisation: principal.vendorId,
  }
}

/** How that person proved who they are. */
export function authenticationOf(principal: Principal): AuditEntry['authentication'] {
  return {
    method: principal.method,
    // Which passkey it was stands in the entry of the sign-in.
    credential: principal.method === 'oidc' ? principal.issuer : null,
    at: new Date(principal.authenticatedAt).toISOString(),
  }
}

/** The parts of an audit event that say who did it and from where. */
export function by(context: { principal: Principal; sourceAddress: string }) {
  return {
    actor: actorOf(context.principal),
    authentication: authenticationOf(context.principal),
    source: context.sourceAddress,
  }
}
