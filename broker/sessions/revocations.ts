import type { Revoked } from '../identity/revocations.ts'
import { unavailable } from '../store/sql.ts'
import type { LiveSession } from './live-sessions.ts'
import type { Renewals } from './renewals.ts'
import { correlationOf, type Sessions } from './sessions.ts'

/**
 * Somebody is no longer allowed in: input is frozen, their browser sockets are closed within 5 s, the asset's side
 * ends by class (threats 26 and 39). Orders go out at once, without asking the database.
 */
export async function onRevoked(sessions: Sessions, renewals: Renewals, revoked: Revoked): Promise<void> {
  const { deps, live } = sessions
  const { sockets, hints } = deps
  const theirs = (session: LiveSession) =>
    revoked.kind === 'vendor' ? session.vendorId === revoked.id : session.personId === revoked.id
  switch (revoked.reason) {
    case 'roles-changed':
    case 'account-changed':
      // Perhaps they may still: decided afresh. Watching needs a role, so it has to be begun anew.
      sockets.close(
        (socket) => socket.person === revoked.id && live.get(socket.session)?.personId !== revoked.id,
      )
      renewals.soon(theirs)
      return
    case 'signed-out':
      // The person left by themselves: their session waits for them as for any lost browser.
      sockets.close((socket) => socket.signIn === revoked.id)
      return
    case 'back-channel-logout': {
      const open = new Set<string>()
      sockets.close((socket) => {
        if (socket.signIn !== revoked.id) return false
        open.add(socket.session)
        return true
      })
      await revokeAll(
        sessions,
        renewals,
        live.of((session) => open.has(session.id)),
        revoked,
      )
      return
    }
    case 'person-disabled':
    case 'vendor-disabled': {
      const found = live.of(theirs)
      const ids = new Set(found.map((session) => session.id))
      sockets.close((socket) => socket.person === revoked.id || ids.has(socket.session))
      if (revoked.kind === 'person') hints.closePerson(revoked.id)
      await revokeAll(sessions, renewals, found, revoked)
    }
  }
}

async function revokeAll(
  sessions: Sessions,
  renewals: Renewals,
  found: LiveSession[],
  revoked: Revoked,
): Promise<void> {
  const { audit, failed } = sessions.deps
  for (const session of found) session.ordered = 'identity-revoked'
  await Promise.all(
    found.map(async (session) => {
      await renewals.order(session, 'revoke', 'identity-revoked', "The engineer's access was revoked.")
      await audit
        .recordAlways({
          action: 'session.end-ordered',
          actor: { kind: 'broker', id: 'broker', name: null, organisation: null },
          object: { kind: 'session', id: session.id },
          reason: revoked.reason,
          correlation: correlationOf(session),
          details: {
            end: 'identity-revoked',
            command: 'revoke',
            revokedAt: new Date(revoked.at).toISOString(),
          },
        })
        .catch((error) => {
          if (!unavailable(error)) failed(error)
        })
    }),
  )
}
