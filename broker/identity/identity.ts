import { listAlarms } from '../audit/alarms.ts'
import type { Handlers } from '../contract/handler.ts'
import type { Clock } from '../domain/clock.ts'
import { conflict, notFound } from '../domain/failure.ts'
import { holdsAnywhere, type Principal, sitesOf } from '../domain/principal.ts'
import type { Secret } from '../domain/secret.ts'
import { isFresh, STEP_UP_MS } from '../http/access.ts'
import type { SignIns } from '../http/app.ts'
import { cookiesFor } from '../http/cookies.ts'
import type { PublicOrigin } from '../http/origin.ts'
import type { Database, Query } from '../store/sql.ts'
import { by } from './actor.ts'
import { Ceremonies } from './ceremonies.ts'
import { OidcClient, type OidcProvider } from './oidc.ts'
import { namesOf, People, passkeyView } from './people.ts'
import { Revocations } from './revocations.ts'
import { setRoles } from './roles.ts'
import { canonicalPasskey, readPasskeys, readPerson } from './rows.ts'
import { SetUpLinks } from './set-up-links.ts'
import { problemOf, SignInFlows, type Visit } from './sign-in-flows.ts'
import { DEFAULT_SIGN_IN_LIMITS, type SignInLimits, SignInService } from './sign-ins.ts'
import { Tokens } from './tokens.ts'
import { keepVouched, type Vouching } from './vouched.ts'

export interface IdentityOptions {
  db: Database
  audit: Vouching
  clock: Clock
  origin: PublicOrigin
  /** On the sign-in page and in passkey prompts. */
  deploymentName: string
  /** `keys.derive('identity')`: 32 bytes that are not in the database. */
  key: Secret<Buffer>
  providers: readonly OidcProvider[]
  limits?: Partial<SignInLimits>
  /** Told when the LISTEN connection fails for good reasons of its own; it is made again by the driver. */
  onError?: (error: unknown) => void
}

type IdentityRoutes = Pick<
  Handlers,
  | 'GET /api/me'
  | 'GET /api/sign-in/providers'
  | 'GET /auth/oidc/:provider/start'
  | 'GET /auth/oidc/:provider/callback'
  | 'POST /auth/oidc/:provider/back-channel-logout'
  | 'POST /api/sign-in/passkey/options'
  | 'POST /api/sign-in/passkey'
  | 'POST /api/sign-out'
  | 'POST /api/set-up/options'
  | 'POST /api/set-up'
  | 'GET /api/me/passkeys'
  | 'POST /api/me/passkeys/options'
  | 'POST /api/me/passkeys'
  | 'DELETE /api/me/passkeys/:id'
  | 'GET /api/people'
  | 'POST /api/people'
  | 'PATCH /api/people/:id'
  | 'POST /api/people/:id/set-up-link'
  | 'POST /api/people/:id/passkeys/:passkeyId/confirm'
  | 'GET /api/vendors'
  | 'POST /api/vendors'
  | 'PATCH /api/vendors/:id'
>

export interface Identity extends SignIns {
  /** Handlers of broker/contract/api/identity.ts. */
  routes: IdentityRoutes
  /** Disabled people and vendors, changed roles, ended sign-ins: from every broker, within a second. */
  revocations: Revocations
  people: People
  /** For a WebSocket upgrade, which passes no route: the person behind its Cookie header. */
  authenticateCookie(cookieHeader: string | undefined, sourceAddress: string): Promise<Principal | null>
  /**
   * Until an administrator has signed in for the first time: makes one and answers with the one-time set-up link, to
   * be printed on the console. A link of an earlier start stops working. Null when the set-up is done.
   */
  ensureFirstAdministrator(): Promise<{ setUpLink: string; expiresAt: Date } | null>
  close(): Promise<void>
}

/** A number of our own: two brokers starting at once make one first administrator. */
const FIRST_ADMINISTRATOR_LOCK = 7_259_010

export async function openIdentity(options: IdentityOptions): Promise<Identity> {
  const { db, audit, clock, origin } = options
  const cookies = cookiesFor(origin)
  const tokens = new Tokens(options.key)
  const signIns = new SignInService(db, audit, tokens, clock, {
    ...DEFAULT_SIGN_IN_LIMITS,
    ...options.limits,
  })
  const links = new SetUpLinks(origin, audit, tokens, clock)
  const people = new People(db, audit, links, clock)
  const ceremonies = new Ceremonies(origin, options.deploymentName, clock)
  const oidc = new OidcClient(options.providers, origin.origin, tokens, clock)
  const flows = new SignInFlows({ db, audit, clock, cookies, signIns, ceremonies, links, people, oidc })
  const revocations = new Revocations(db, clock)
  revocations.on((revoked) => signIns.forget(revoked))
  await revocations.start(options.onError ?? (() => undefined))

  const visit = (context: {
    principal: Principal | null
    sourceAddress: string
    request: { signInToken: string | null }
    reply: Visit['reply']
  }): Visit => ({
    principal: context.principal,
    signInToken: context.request.signInToken,
    sourceAddress: context.sourceAddress,
    reply: context.reply,
  })

  const setUpDone = async (query: Query) => {
    const [row] = await query<{ done: boolean }[]>`
      SELECT EXISTS (SELECT FROM role r JOIN person p ON p.id = r.person_id
        WHERE r.role = 'administrator' AND p.last_sign_in_at IS NOT NULL) AS done`
    return row?.done === true
  }

  /** A path of ours and nothing else: never another site, whatever a link said. */
  const safePath = (text: string) =>
    /^\/(?![/\\])[^\\\s]*$/.test(text) && new URL(text, origin.origin).origin === origin.origin ? text : '/'

  const routes: IdentityRoutes = {
    'GET /api/me': async ({ principal, request }) => {
      const sites = sitesOf(principal, 'vendor', 'approver', 'operator', 'auditor', 'administrator')
      const siteRows =
        sites === 'all'
          ? await db.sql<SiteRow[]>`SELECT id, name, time_zone AS "timeZone" FROM site ORDER BY name`
          : sites.length === 0
            ? []
            : await db.sql<SiteRow[]>`
                SELECT id, name, time_zone AS "timeZone" FROM site WHERE id IN ${db.sql(sites)} ORDER BY name`
      const person = await readPerson(db.sql, principal.personId)
      const [vendor] =
        principal.vendorId === null
          ? []
          : await db.sql<
              { id: string; name: string }[]
            >`SELECT id, name FROM vendor WHERE id = ${principal.vendorId}`
      const [signIn] = await db.sql<{ provider: string }[]>`
        SELECT provider FROM sign_in WHERE id = ${principal.signInId}`
      const signing = await db.tx(async (tx) => {
        const passkeys = await readPasskeys(tx, [principal.personId])
        return keepVouched(
          audit,
          tx,
          passkeys
            .filter((key) => key.confirmedAt !== null)
            .map((key) => ({ row: key, kind: 'passkey', id: key.id, form: canonicalPasskey(key) })),
        )
      }, 'repeatable read read only')
      const scope = {
        sites: sitesOf(principal, 'approver', 'operator', 'auditor', 'administrator'),
        wide: holdsAnywhere(principal, 'administrator'),
      }
      const alarms = (await listAlarms(db.sql, 20, scope)).filter((alarm) => alarm.closedAt === null)
      return {
        person: {
          id: principal.personId,
          name: principal.name,
          email: person?.email ?? null,
          vendor: vendor ?? null,
          signedInWith: principal.method === 'passkey' ? 'passkey' : oidc.nameOf(signIn?.provider ?? ''),
        },
        roles: principal.roles.map(({ role, siteId }) => ({
          role,
          site: siteRows.find((site) => site.id === siteId)
            ? { id: siteId ?? '', name: siteRows.find((site) => site.id === siteId)?.name ?? '' }
            : null,
        })),
        sites: siteRows.map(({ id, name, timeZone }) => ({ id, name, timeZone })),
        csrf: tokens.csrf(request.signInToken ?? ''),
        stepUpUntil: isFresh(principal, clock)
          ? new Date(principal.authenticatedAt + STEP_UP_MS).toISOString()
          : null,
        signingPasskey: signing.length > 0,
        alarms: alarms.map((alarm) => ({
          id: alarm.id,
          kind: alarm.kind,
          message: alarm.message,
          since: alarm.openedAt.toISOString(),
          acknowledgedBy: alarm.acknowledgedBy,
        })),
      }
    },

    'GET /api/sign-in/providers': async () => ({
      deployment: { name: options.deploymentName, setupDone: await setUpDone(db.sql) },
      providers: oidc.list(),
      passkeys: true,
    }),

    'GET /auth/oidc/:provider/start': async ({ params, query, principal, request, reply, sourceAddress }) => {
      try {
        const { redirectTo, browser } = await oidc.begin(db.sql, params.provider, {
          returnTo: safePath(query.returnTo),
          stepUpSignInId: query.stepUp === '1' ? (principal?.signInId ?? null) : null,
        })
        return reply.header('set-cookie', cookies.write('trip', browser, 600)).redirect(redirectTo, 303)
      } catch (error) {
        const problem = problemOf(error)
        if (!problem) throw error
        await flows.noteRefused(
          visit({ principal, sourceAddress, request, reply }),
          params.provider,
          problem.code,
          problem.detail,
        )
        return reply.redirect(refusedAt(principal, problem.code), 303)
      }
    },

    'GET /auth/oidc/:provider/callback': async ({ params, principal, request, reply, sourceAddress }) => {
      const at = visit({ principal, sourceAddress, request, reply })
      try {
        const search = request.url.includes('?') ? request.url.slice(request.url.indexOf('?')) : ''
        const browser = cookies.read(request.headers.cookie, 'trip')
        const proven = await oidc.finish(db.sql, params.provider, search, browser)
        await flows.oidc(at, proven)
        return reply
          .header('set-cookie', cookies.write('trip', '', 0))
          .redirect(safePath(proven.returnTo), 303)
      } catch (error) {
        const problem = problemOf(error)
        if (!problem) throw error
        await flows.noteRefused(at, params.provider, problem.code, problem.detail)
        return reply
          .header('set-cookie', cookies.write('trip', '', 0))
          .redirect(refusedAt(principal, problem.code), 303)
      }
    },

    'POST /auth/oidc/:provider/back-channel-logout': async ({
      params,
      body,
      reply,
      sourceAddress,
      principal,
      request,
    }) => {
      try {
        await flows.backChannelLogout(params.provider, body.logout_token, sourceAddress)
        return reply.code(200).type('text/plain').send('')
      } catch (error) {
        const problem = problemOf(error)
        if (!problem) throw error
        await flows.noteRefused(
          visit({ principal, sourceAddress, request, reply }),
          params.provider,
          problem.code,
          problem.detail,
        )
        // The status that the specification gives for a token that doesn't hold (section 2.8).
        return reply.code(400).type('text/plain').send('invalid_request')
      }
    },

    'POST /api/sign-in/passkey/options': async ({ principal }) =>
      ceremonies.beginSignIn(
        db.sql,
        principal ? await readPasskeys(db.sql, [principal.personId]) : null,
        principal?.signInId ?? null,
      ),

    'POST /api/sign-in/passkey': async (context) => {
      await flows.passkey(visit(context), context.body.challengeId, context.body.assertion)
      return { ok: true }
    },

    'POST /api/sign-out': async (context) => {
      await db.tx(async (tx) => {
        await signIns.end(tx, context.principal.signInId, 'signed-out')
        await audit.record(tx, {
          ...by(context),
          action: 'sign-in.signed-out',
          object: { kind: 'person', id: context.principal.personId },
        })
      })
      context.reply.header('set-cookie', cookies.write('sign-in', '', 0))
      return { ok: true }
    },

    'POST /api/set-up/options': async ({ body }) => {
      const { person } = await db.tx((tx) => links.read(tx, body.token), 'repeatable read read only')
      const existing = await readPasskeys(db.sql, [person.id])
      return {
        name: person.name,
        ...(await ceremonies.beginRegistration(db.sql, 'set-up', person, existing)),
      }
    },

    'POST /api/set-up': async (context) => {
      await flows.setUp(visit(context), context.body)
      return { ok: true }
    },

    'GET /api/me/passkeys': async ({ principal }) => {
      const keys = await readPasskeys(db.sql, [principal.personId])
      const names = await namesOf(
        db.sql,
        keys.flatMap((key) => (key.confirmedBy ? [key.confirmedBy] : [])),
      )
      return keys.map((key) =>
        passkeyView(key, key.confirmedBy ? (names.get(key.confirmedBy) ?? null) : null),
      )
    },

    'POST /api/me/passkeys/options': async ({ principal }) => {
      const person = await readPerson(db.sql, principal.personId)
      if (!person) throw notFound('person')
      const existing = await readPasskeys(db.sql, [person.id])
      return ceremonies.beginRegistration(db.sql, 'add-passkey', person, existing)
    },

    'POST /api/me/passkeys': async (context) =>
      passkeyView(await flows.addPasskey(context, context.body), null),

    'DELETE /api/me/passkeys/:id': async (context) => {
      const { principal, params } = context
      await db.tx(async (tx) => {
        await readPerson(tx, principal.personId, true)
        const keys = await readPasskeys(tx, [principal.personId])
        const key = keys.find((candidate) => candidate.id === params.id)
        if (!key) throw notFound('passkey')
        if (keys.length === 1 && principal.issuer === 'local') {
          throw conflict('last-passkey', 'This is your only passkey.', 'Register another one first.')
        }
        await tx`UPDATE passkey SET removed_at = ${new Date(clock.wall())} WHERE id = ${key.id}`
        await audit.record(tx, {
          ...by(context),
          action: 'passkey.removed',
          object: { kind: 'passkey', id: key.id },
          before: canonicalPasskey(key),
          after: null,
        })
      })
      return { ok: true }
    },

    'GET /api/people': ({ principal, query }) => people.list(principal, query),
    'POST /api/people': (context) => people.add(context, context.body),
    'PATCH /api/people/:id': (context) => people.change(context, context.params.id, context.body),
    'POST /api/people/:id/set-up-link': (context) =>
      people.newLink(context, context.params.id, context.body.reason),
    'POST /api/people/:id/passkeys/:passkeyId/confirm': (context) =>
      people.confirmPasskey(context, context.params.id, context.params.passkeyId),
    'GET /api/vendors': () => people.vendors(),
    'POST /api/vendors': (context) => people.addVendor(context, context.body),
    'PATCH /api/vendors/:id': (context) => people.changeVendor(context, context.params.id, context.body),
  }

  return {
    routes,
    revocations,
    people,
    authenticate: (token, source) => signIns.authenticate(token, source),
    authenticateFromMemory: (token) => signIns.authenticateFromMemory(token),
    csrfToken: (token) => tokens.csrf(token),
    async authenticateCookie(header, source) {
      const token = cookies.read(header, 'sign-in')
      return token === null ? null : signIns.authenticate(token, source)
    },
    ensureFirstAdministrator: () =>
      db.tx(async (tx) => {
        await tx`SELECT pg_advisory_xact_lock(${FIRST_ADMINISTRATOR_LOCK})`
        if (await setUpDone(tx)) return null
        const [waiting] = await tx<{ id: string }[]>`
          SELECT person_id AS id FROM set_up_link WHERE first_administrator ORDER BY created_at LIMIT 1`
        const actor = { kind: 'system', id: 'first-start', name: null, organisation: null } as const
        let person = waiting ? await readPerson(tx, waiting.id, true) : null
        if (!person) {
          person = await people.insert(tx, {
            name: 'First administrator',
            email: null,
            vendorId: null,
            accountEndsAt: null,
            trainingValidUntil: null,
            by: { actor },
          })
          await setRoles(audit, tx, person, [{ role: 'administrator', siteId: null }], {
            source: 'local',
            grantedBy: null,
            by: { actor },
            reason: 'first start',
            nowMs: clock.wall(),
          })
        }
        const { url, expiresAt } = await links.make(tx, person, null)
        return { setUpLink: url, expiresAt }
      }),
    close: () => revocations.close(),
  }
}

/** Whoever is signed in still is: only their confirmation was refused, most often in a window of its own. */
function refusedAt(principal: Principal | null, code: string): string {
  return `/${principal ? 'stepped-up' : 'sign-in'}?problem=${code}`
}

interface SiteRow {
  id: string
  name: string
  timeZone: string
}
