import { z } from 'zod'
import { ROLES } from '../../domain/words.ts'
import { Id, IdParams, Instant, Line, Name, Ok, only, page, publicRoute, routes, signedIn } from '../route.ts'

/** WebAuthn options and answers pass as the browser's own JSON forms; the WebAuthn library checks them. */
const WebAuthnJson = z.looseObject({})

export const Me = z.strictObject({
  person: z.strictObject({
    id: Id,
    name: z.string(),
    email: z.string().nullable(),
    vendor: z.strictObject({ id: Id, name: z.string() }).nullable(),
    /** How this sign-in was made: "passkey", or the identity provider's name. */
    signedInWith: z.string(),
  }),
  roles: z.array(
    z.strictObject({ role: z.enum(ROLES), site: z.strictObject({ id: Id, name: z.string() }).nullable() }),
  ),
  sites: z.array(z.strictObject({ id: Id, name: z.string(), timeZone: z.string() })),
  /** Sent back as `x-csrf-token` on every request that is not GET. */
  csrf: z.string(),
  /** Until when opening a session needs no fresh sign-in; null when it does now. */
  stepUpUntil: Instant.nullable(),
  /** True when this person may sign approvals: a passkey that an administrator confirmed. */
  signingPasskey: z.boolean(),
  /** `acknowledgedBy`: somebody has taken it on; it stays until its cause has gone. */
  alarms: z.array(
    z.strictObject({
      id: Id,
      kind: z.string(),
      message: z.string(),
      since: Instant,
      acknowledgedBy: z.string().nullable(),
    }),
  ),
})

const Passkey = z.strictObject({
  id: Id,
  label: z.string(),
  createdAt: Instant,
  lastUsedAt: Instant.nullable(),
  confirmedBy: z.string().nullable(),
  backedUp: z.boolean(),
})

const Person = z.strictObject({
  id: Id,
  name: z.string(),
  email: z.string().nullable(),
  issuer: z.string(),
  subject: z.string(),
  vendor: z.strictObject({ id: Id, name: z.string() }).nullable(),
  enabled: z.boolean(),
  accountEndsAt: Instant.nullable(),
  trainingValidUntil: Instant.nullable(),
  lastSignInAt: Instant.nullable(),
  roles: z.array(z.strictObject({ role: z.enum(ROLES), siteId: Id.nullable() })),
  passkeys: z.array(Passkey),
})

const Vendor = z.strictObject({
  id: Id,
  name: z.string(),
  enabled: z.boolean(),
  contractEndsAt: Instant,
  sponsor: z.strictObject({ id: Id, name: z.string() }),
  tier: z.enum(['1', '2', '3']),
  people: z.number().int(),
})

export const identityApi = routes({
  'GET /api/me': { summary: 'Who is signed in, with which roles', access: signedIn, response: Me },
  'GET /api/sign-in/providers': {
    summary: 'Ways to sign in here',
    access: publicRoute,
    response: z.strictObject({
      deployment: z.strictObject({ name: z.string(), setupDone: z.boolean() }),
      providers: z.array(z.strictObject({ id: z.string(), name: z.string() })),
      passkeys: z.boolean(),
    }),
  },
  'GET /auth/oidc/:provider/start': {
    summary: 'Redirect to the identity provider (PKCE, nonce, state)',
    access: publicRoute,
    params: z.strictObject({ provider: z.string().max(40) }),
    query: z.strictObject({ returnTo: z.string().max(500).default('/'), stepUp: z.literal('1').optional() }),
    response: { raw: 'text/html' },
  },
  'GET /auth/oidc/:provider/callback': {
    summary: "The identity provider's answer; checks state, nonce, iss, PKCE",
    access: publicRoute,
    params: z.strictObject({ provider: z.string().max(40) }),
    query: z.looseObject({}),
    response: { raw: 'text/html' },
  },
  'POST /auth/oidc/:provider/back-channel-logout': {
    summary: 'OpenID Connect back-channel logout: ends the sign-ins of a session or subject',
    access: publicRoute,
    params: z.strictObject({ provider: z.string().max(40) }),
    body: z.strictObject({ logout_token: z.string().max(16_384) }),
    response: { raw: 'text/plain' },
  },
  'POST /api/sign-in/passkey/options': {
    summary: 'Begin signing in, or stepping up, with a passkey',
    access: publicRoute,
    body: z.strictObject({}),
    response: z.strictObject({ challengeId: Id, options: WebAuthnJson }),
  },
  'POST /api/sign-in/passkey': {
    summary: 'Sign in with a passkey; when signed in already, the same person steps up',
    access: publicRoute,
    body: z.strictObject({ challengeId: Id, assertion: WebAuthnJson }),
    response: Ok,
  },
  'POST /api/sign-out': {
    summary: 'End this sign-in',
    access: signedIn,
    body: z.strictObject({}),
    response: Ok,
  },

  'POST /api/set-up/options': {
    summary: 'Redeem a one-time set-up link: see whose account it is, begin registering its passkey',
    access: publicRoute,
    body: z.strictObject({ token: z.string().max(200) }),
    response: z.strictObject({ name: z.string(), challengeId: Id, options: WebAuthnJson }),
  },
  'POST /api/set-up': {
    summary: 'Finish the set-up: the passkey is registered, the link is used up, the person is signed in',
    access: publicRoute,
    body: z.strictObject({
      token: z.string().max(200),
      challengeId: Id,
      attestation: WebAuthnJson,
      label: Name,
    }),
    response: Ok,
  },

  'GET /api/me/passkeys': { summary: 'My passkeys', access: signedIn, response: z.array(Passkey) },
  'POST /api/me/passkeys/options': {
    summary: 'Begin registering a further passkey',
    access: signedIn,
    stepUp: true,
    body: z.strictObject({}),
    response: z.strictObject({ challengeId: Id, options: WebAuthnJson }),
  },
  'POST /api/me/passkeys': {
    summary: 'Register a further passkey; it signs approvals only after an administrator confirmed it',
    access: signedIn,
    stepUp: true,
    body: z.strictObject({ challengeId: Id, attestation: WebAuthnJson, label: Name }),
    response: Passkey,
  },
  'DELETE /api/me/passkeys/:id': {
    summary: 'Remove a passkey of mine',
    access: signedIn,
    stepUp: true,
    params: IdParams,
    response: Ok,
  },

  'GET /api/people': {
    summary: 'People, with roles and passkeys',
    access: only('administrator'),
    query: z.strictObject({
      vendorId: Id.optional(),
      search: z.string().max(100).optional(),
      cursor: z.string().max(200).optional(),
    }),
    response: page(Person),
  },
  'POST /api/people': {
    summary: 'Add a local person; answers with a one-time set-up link, shown once',
    access: only('administrator'),
    stepUp: true,
    body: z.strictObject({
      name: Name,
      email: z.email().max(200).nullable(),
      vendorId: Id.nullable(),
      accountEndsAt: Instant.nullable(),
      trainingValidUntil: Instant.nullable(),
      roles: z.array(z.strictObject({ role: z.enum(ROLES), siteId: Id.nullable() })).max(20),
    }),
    response: z.strictObject({ person: Person, setUpLink: z.url() }),
  },
  'PATCH /api/people/:id': {
    summary: 'Change a person; disabling closes their sockets within 5 s',
    access: only('administrator'),
    stepUp: true,
    params: IdParams,
    body: z.strictObject({
      name: Name.optional(),
      enabled: z.boolean().optional(),
      accountEndsAt: Instant.nullable().optional(),
      trainingValidUntil: Instant.nullable().optional(),
      roles: z
        .array(z.strictObject({ role: z.enum(ROLES), siteId: Id.nullable() }))
        .max(20)
        .optional(),
      reason: Line,
    }),
    response: Person,
  },
  'POST /api/people/:id/set-up-link': {
    summary: 'A new one-time set-up link for a local person',
    access: only('administrator'),
    stepUp: true,
    params: IdParams,
    body: z.strictObject({ reason: Line }),
    response: z.strictObject({ setUpLink: z.url() }),
  },
  'POST /api/people/:id/passkeys/:passkeyId/confirm': {
    summary: "Confirm another person's passkey, so that it may sign approvals",
    access: only('administrator'),
    stepUp: true,
    params: z.strictObject({ id: Id, passkeyId: Id }),
    body: z.strictObject({}),
    response: Person,
  },
  'GET /api/vendors': {
    summary: 'Vendors',
    access: only('administrator', 'approver', 'operator', 'auditor'),
    response: z.array(Vendor),
  },
  'POST /api/vendors': {
    summary: 'Add a vendor',
    access: only('administrator'),
    stepUp: true,
    body: z.strictObject({
      name: Name,
      contractEndsAt: Instant,
      sponsorId: Id,
      tier: z.enum(['1', '2', '3']),
    }),
    response: Vendor,
  },
  'PATCH /api/vendors/:id': {
    summary: 'Change a vendor; disabling closes the sockets of all its people within 5 s',
    access: only('administrator'),
    stepUp: true,
    params: IdParams,
    body: z.strictObject({
      enabled: z.boolean().optional(),
      contractEndsAt: Instant.optional(),
      sponsorId: Id.optional(),
      tier: z.enum(['1', '2', '3']).optional(),
      reason: Line,
    }),
    response: Vendor,
  },
})
