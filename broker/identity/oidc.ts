import { createRemoteJWKSet, customFetch as joseFetch, jwtVerify } from 'jose'
import * as oidc from 'openid-client'
import type { Clock } from '../domain/clock.ts'
import type { Secret } from '../domain/secret.ts'
import type { Query } from '../store/sql.ts'
import type { ClaimMapping } from './claims.ts'
import { outboundFetch } from './outbound-fetch.ts'
import { randomToken, type Tokens } from './tokens.ts'

export interface OidcProvider {
  /** In URLs: `[a-z0-9-]`, 40 at most. Every issuer has its own callback (threat 25). */
  id: string
  /** On the button. */
  name: string
  issuer: string
  clientId: string
  /** Null: a public client. PKCE is used either way. */
  clientSecret: Secret | null
  /** Default `openid profile email`. */
  scope?: string
  /** The ID token's `acr` must be one of these, when given: the provider's words for strong authentication. */
  acceptedAcr?: readonly string[]
  /** It checks every mail address that it names, and sends no `email_verified`. */
  emailsVerified?: boolean
  /** PEM of the CA of a provider inside the plant. Its certificate is verified like any other. */
  ca?: string
  mapping: ClaimMapping
  /** For the demo's composition only. */
  allowHttpLocalhost?: boolean
}

/** What a provider proved about the person that came back. */
export interface Proven {
  provider: OidcProvider
  issuer: string
  subject: string
  claims: Readonly<Record<string, unknown>>
  session: string | null
  /** Milliseconds since the epoch. */
  authenticatedAt: number
  returnTo: string
  stepUpSignInId: string | null
}

export type TripProblem =
  | 'unknown-provider'
  | 'provider-unavailable'
  | 'trip-unknown'
  | 'provider-refused'
  | 'answer-invalid'
  | 'authentication-too-weak'

/** The way to the provider and back did not end in a sign-in. `detail` is for the log only. */
export class TripFailure extends Error {
  readonly problem: TripProblem
  constructor(problem: TripProblem, detail: string) {
    super(detail)
    this.name = 'TripFailure'
    this.problem = problem
  }
}

const TRIP_MS = 10 * 60_000
/** A provider's own single sign-on session may be this old, seconds; it is no strong authentication then. */
const LONGEST_SSO_S = 12 * 3600
/** Allowed difference between our clock and the provider's, seconds. */
const SKEW_S = 30
const METADATA_MS = 3_600_000

/** Sign-in at identity providers: authorization code flow with PKCE, nonce, state and RFC 9207. */
export class OidcClient {
  readonly #providers: ReadonlyMap<string, OidcProvider>
  readonly #origin: string
  readonly #tokens: Tokens
  readonly #clock: Clock
  readonly #known = new Map<
    string,
    { config: oidc.Configuration; at: number; keys: ReturnType<typeof createRemoteJWKSet> }
  >()

  constructor(providers: readonly OidcProvider[], origin: string, tokens: Tokens, clock: Clock) {
    for (const provider of providers) checkProvider(provider)
    this.#providers = new Map(providers.map((provider) => [provider.id, provider]))
    if (this.#providers.size !== providers.length) throw new Error('two identity providers have the same id')
    if (new Set(providers.map(({ issuer }) => issuer)).size !== providers.length) {
      throw new Error('two identity providers have the same issuer')
    }
    this.#origin = origin
    this.#tokens = tokens
    this.#clock = clock
  }

  list(): { id: string; name: string }[] {
    return [...this.#providers.values()].map(({ id, name }) => ({ id, name }))
  }

  nameOf(id: string): string {
    return this.#providers.get(id)?.name ?? id
  }

  /** Where to send the browser, and the value of the cookie that binds the trip to it. */
  async begin(
    query: Query,
    providerId: string,
    trip: { returnTo: string; stepUpSignInId: string | null },
  ): Promise<{ redirectTo: string; browser: string }> {
    const { provider, config } = await this.#config(providerId)
    const state = randomToken()
    const nonce = randomToken()
    const browser = randomToken()
    const verifier = oidc.randomPKCECodeVerifier()
    const now = this.#clock.wall()
    await query`DELETE FROM oidc_trip WHERE expires_at < ${new Date(now)}`
    await query`
      INSERT INTO oidc_trip (state_hash, provider, nonce, code_verifier, browser_hash, return_to,
        step_up_sign_in_id, created_at, expires_at)
      VALUES (${this.#tokens.fingerprint('oidc-state', state)}, ${provider.id}, ${nonce}, ${verifier},
        ${this.#tokens.fingerprint('oidc-browser', browser)}, ${trip.returnTo}, ${trip.stepUpSignInId},
        ${new Date(now)}, ${new Date(now + TRIP_MS)})`
    const url = oidc.buildAuthorizationUrl(config, {
      redirect_uri: this.#callback(provider.id),
      scope: provider.scope ?? 'openid profile email',
      state,
      nonce,
      code_challenge: await oidc.calculatePKCECodeChallenge(verifier),
      code_challenge_method: 'S256',
      // max_age makes `auth_time` obligatory in the answer (OpenID Connect Core, section 3.1.2.1).
      ...(trip.stepUpSignInId ? { prompt: 'login', max_age: '0' } : { max_age: String(LONGEST_SSO_S) }),
      ...(provider.acceptedAcr ? { acr_values: provider.acceptedAcr.join(' ') } : {}),
    })
    return { redirectTo: url.href, browser }
  }

  /**
   * Checks the provider's answer. The trip is taken out first, so a state counts once; it must have begun in this
   * browser and at this provider. Throws TripFailure.
   */
  async finish(query: Query, providerId: string, search: string, browser: string | null): Promise<Proven> {
    const { provider, config } = await this.#config(providerId)
    const answer = new URL(this.#callback(providerId) + search)
    const state = answer.searchParams.get('state') ?? ''
    const [trip] = await query<
      {
        nonce: string
        codeVerifier: string
        browserHash: Buffer
        returnTo: string
        stepUpSignInId: string | null
        createdAt: Date
        expiresAt: Date
      }[]
    >`
      DELETE FROM oidc_trip
      WHERE state_hash = ${this.#tokens.fingerprint('oidc-state', state)} AND provider = ${provider.id}
      RETURNING nonce, code_verifier AS "codeVerifier", browser_hash AS "browserHash", return_to AS "returnTo",
        step_up_sign_in_id AS "stepUpSignInId", created_at AS "createdAt", expires_at AS "expiresAt"`
    const bound =
      trip !== undefined &&
      browser !== null &&
      trip.browserHash.equals(this.#tokens.fingerprint('oidc-browser', browser))
    if (!bound || trip.expiresAt.getTime() <= this.#clock.wall()) {
      throw new TripFailure('trip-unknown', 'state unknown, used, too old, or begun in another browser')
    }
    let claims: oidc.IDToken
    try {
      const tokens = await oidc.authorizationCodeGrant(config, answer, {
        pkceCodeVerifier: trip.codeVerifier,
        expectedNonce: trip.nonce,
        expectedState: state,
        idTokenExpected: true,
        maxAge: trip.stepUpSignInId ? TRIP_MS / 1000 : LONGEST_SSO_S,
      })
      const found = tokens.claims()
      if (!found) throw new TypeError('no ID token')
      claims = found
    } catch (error) {
      const refused = error instanceof oidc.AuthorizationResponseError
      throw new TripFailure(refused ? 'provider-refused' : 'answer-invalid', words(error))
    }
    const authTime = claims.auth_time ?? 0
    if (trip.stepUpSignInId && authTime + SKEW_S < trip.createdAt.getTime() / 1000) {
      throw new TripFailure('authentication-too-weak', 'the provider did not ask the person again')
    }
    if (provider.acceptedAcr && !provider.acceptedAcr.includes(String(claims.acr))) {
      throw new TripFailure('authentication-too-weak', `acr ${String(claims.acr).slice(0, 100)}`)
    }
    return {
      provider,
      issuer: claims.iss,
      subject: claims.sub,
      claims: claims as Record<string, unknown>,
      session: typeof claims.sid === 'string' ? claims.sid : null,
      // Never later than now: a provider's clock that runs ahead must not prolong freshness.
      authenticatedAt: Math.min(authTime * 1000, this.#clock.wall()),
      returnTo: trip.returnTo,
      stepUpSignInId: trip.stepUpSignInId,
    }
  }

  /**
   * Verifies a logout token (OpenID Connect Back-Channel Logout 1.0, section 2.6); `id` is its `jti`, for takeLogout.
   * Throws TripFailure.
   */
  async verifyLogout(
    providerId: string,
    token: string,
  ): Promise<{ provider: OidcProvider; subject: string | null; session: string | null; id: string }> {
    const { provider, keys } = await this.#config(providerId)
    const now = new Date(this.#clock.wall())
    const { payload } = await jwtVerify(token, keys, {
      issuer: provider.issuer,
      audience: provider.clientId,
      algorithms: ['RS256', 'PS256', 'ES256', 'EdDSA', 'Ed25519'],
      requiredClaims: ['iat', 'jti', 'events'],
      maxTokenAge: '5 min',
      clockTolerance: SKEW_S,
      currentDate: now,
    }).catch((error: unknown) => {
      throw new TripFailure('answer-invalid', words(error))
    })
    const events = payload.events as Record<string, unknown> | null
    const isLogout =
      typeof events === 'object' &&
      events !== null &&
      typeof events['http://schemas.openid.net/event/backchannel-logout'] === 'object'
    const session = typeof payload.sid === 'string' ? payload.sid : null
    const subject = typeof payload.sub === 'string' ? payload.sub : null
    // A nonce is forbidden: an ID token must never pass for a logout token.
    if (!isLogout || payload.nonce !== undefined || (session === null && subject === null)) {
      throw new TripFailure('answer-invalid', 'not a logout token')
    }
    return { provider, subject, session, id: String(payload.jti) }
  }

  /** Uses a logout token up: each `jti` counts once. Throws TripFailure the second time. */
  async takeLogout(query: Query, provider: string, id: string): Promise<void> {
    const now = new Date(this.#clock.wall())
    await query`DELETE FROM used_logout_token WHERE expires_at < ${now}`
    const fresh = await query`
      INSERT INTO used_logout_token (provider, jti_hash, expires_at)
      VALUES (${provider}, ${this.#tokens.fingerprint('logout-jti', id)},
        ${new Date(now.getTime() + 600_000)})
      ON CONFLICT DO NOTHING RETURNING provider`
    if (fresh.length === 0) throw new TripFailure('answer-invalid', 'logout token used before')
  }

  #callback(providerId: string): string {
    return `${this.#origin}/auth/oidc/${providerId}/callback`
  }

  async #config(providerId: string) {
    const provider = this.#providers.get(providerId)
    if (!provider) throw new TripFailure('unknown-provider', 'no such provider in the configuration')
    const kept = this.#known.get(provider.id)
    if (kept && this.#clock.monotonic() - kept.at < METADATA_MS) return { provider, ...kept }
    const fetch = outboundFetch(provider)
    try {
      const config = await oidc.discovery(
        new URL(provider.issuer),
        provider.clientId,
        { [oidc.clockTolerance]: SKEW_S },
        provider.clientSecret ? oidc.ClientSecretBasic(provider.clientSecret.reveal()) : oidc.None(),
        {
          [oidc.customFetch]: fetch as oidc.CustomFetch,
          timeout: 10,
          execute: provider.allowHttpLocalhost ? [oidc.allowInsecureRequests] : [],
        },
      )
      const jwksUri = config.serverMetadata().jwks_uri
      if (!jwksUri) throw new TypeError('no jwks_uri in the metadata')
      const keys = createRemoteJWKSet(new URL(jwksUri), { [joseFetch]: fetch as never })
      const known = { config, keys, at: this.#clock.monotonic() }
      this.#known.set(provider.id, known)
      return { provider, ...known }
    } catch (error) {
      // What is known serves on while the provider's metadata can't be read again.
      if (kept) return { provider, ...kept }
      throw new TripFailure('provider-unavailable', words(error))
    }
  }
}

function checkProvider(provider: OidcProvider): void {
  if (!/^[a-z0-9-]{1,40}$/.test(provider.id))
    throw new Error(`identity provider id "${provider.id}" is not usable`)
  const url = new URL(provider.issuer)
  const demo = provider.allowHttpLocalhost && url.protocol === 'http:' && url.hostname === 'localhost'
  if (url.protocol !== 'https:' && !demo) throw new Error(`issuer ${provider.issuer} is not HTTPS`)
}

/** The error and its causes in a line for the log; tokens never stand in these libraries' messages. */
function words(error: unknown): string {
  const parts: string[] = []
  for (let at: unknown = error; at instanceof Error && parts.length < 4; at = at.cause) {
    const code = (at as { code?: unknown }).code
    parts.push(`${typeof code === 'string' ? `${code}: ` : ''}${at.message}`)
  }
  return parts.join(' <- ').slice(0, 500) || 'unknown error'
}
