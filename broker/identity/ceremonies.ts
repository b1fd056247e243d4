import {
  type AuthenticationResponseJSON,
  generateAuthenticationOptions,
  generateRegistrationOptions,
  type RegistrationResponseJSON,
  verifyAuthenticationResponse,
  verifyRegistrationResponse,
} from '@simplewebauthn/server'
import { z } from 'zod'
import type { Clock } from '../domain/clock.ts'
import { Failure } from '../domain/failure.ts'
import { newId } from '../domain/ids.ts'
import type { PublicOrigin } from '../http/origin.ts'
import type { Query } from '../store/sql.ts'
import type { PasskeyRow, PersonRow } from './rows.ts'

/** COSE algorithms that evidence packages know: ES256, EdDSA, RS256. */
const ALGORITHMS = [-7, -8, -257]
const CHALLENGE_MS = 5 * 60_000

export type Purpose = 'sign-in' | 'set-up' | 'add-passkey'

/** A registration that has been verified. */
export interface NewCredential {
  credentialId: string
  publicKey: Buffer
  counter: number
  transports: string[]
  backupEligible: boolean
  backedUp: boolean
  aaguid: string
}

/** What may come from a browser; the library checks what is inside the base64url. */
const base64url = z
  .string()
  .max(16_384)
  .regex(/^[A-Za-z0-9_-]*$/)
const assertionForm = z.object({
  id: base64url.max(1400),
  rawId: base64url.max(1400),
  type: z.literal('public-key'),
  response: z.object({
    clientDataJSON: base64url,
    authenticatorData: base64url,
    signature: base64url,
    userHandle: base64url.nullish().transform((value) => value ?? undefined),
  }),
})
const attestationForm = z.object({
  id: base64url.max(1400),
  rawId: base64url.max(1400),
  type: z.literal('public-key'),
  response: z.object({
    clientDataJSON: base64url,
    attestationObject: base64url,
    transports: z.array(z.string().max(20)).max(8).optional(),
  }),
})

/**
 * WebAuthn ceremonies of signing in and registering: user verification is required, credentials are discoverable,
 * a challenge is answered once and within five minutes.
 */
export class Ceremonies {
  readonly #origin: PublicOrigin
  readonly #deploymentName: string
  readonly #clock: Clock

  constructor(origin: PublicOrigin, deploymentName: string, clock: Clock) {
    this.#origin = origin
    this.#deploymentName = deploymentName
    this.#clock = clock
  }

  /** `own`: the passkeys of somebody who steps up; without, the browser offers what it has. */
  async beginSignIn(query: Query, own: readonly PasskeyRow[] | null, signInId: string | null) {
    const options = await generateAuthenticationOptions({
      rpID: this.#origin.rpId,
      userVerification: 'required',
      timeout: CHALLENGE_MS,
      ...(own
        ? { allowCredentials: own.map((key) => ({ id: key.credentialId, transports: key.transports })) }
        : {}),
    })
    const challengeId = await this.#keep(query, 'sign-in', options.challenge, null, signInId)
    return { challengeId, options: { ...options } }
  }

  async beginRegistration(
    query: Query,
    purpose: 'set-up' | 'add-passkey',
    person: PersonRow,
    existing: readonly PasskeyRow[],
  ) {
    const options = await generateRegistrationOptions({
      rpName: this.#deploymentName,
      rpID: this.#origin.rpId,
      userName: person.email ?? person.name,
      userDisplayName: person.name,
      userID: userHandleOf(person.id),
      attestationType: 'none',
      timeout: CHALLENGE_MS,
      excludeCredentials: existing.map((key) => ({ id: key.credentialId, transports: key.transports })),
      authenticatorSelection: { residentKey: 'required', userVerification: 'required' },
      supportedAlgorithmIDs: ALGORITHMS,
    })
    const challengeId = await this.#keep(query, purpose, options.challenge, person.id, null)
    return { challengeId, options: { ...options } }
  }

  /** Takes the challenge out: whatever follows, it can't be answered again. Null: unknown, used or too old. */
  async take(
    query: Query,
    purpose: Purpose,
    challengeId: string,
  ): Promise<{ challenge: string; personId: string | null; signInId: string | null } | null> {
    const [row] = await query<
      { challenge: string; personId: string | null; signInId: string | null; expiresAt: Date }[]
    >`
      DELETE FROM webauthn_challenge WHERE id = ${challengeId} AND purpose = ${purpose}
      RETURNING challenge, person_id AS "personId", sign_in_id AS "signInId", expires_at AS "expiresAt"`
    return row && row.expiresAt.getTime() > this.#clock.wall() ? row : null
  }

  /** Null when the answer doesn't hold: wrong origin, challenge, signature, or nobody was verified. */
  async verifyRegistration(challenge: string, attestation: unknown): Promise<NewCredential | null> {
    const form = attestationForm.safeParse(attestation)
    if (!form.success) return null
    try {
      const result = await verifyRegistrationResponse({
        response: { ...form.data, clientExtensionResults: {} } as RegistrationResponseJSON,
        expectedChallenge: challenge,
        expectedOrigin: this.#origin.origin,
        expectedRPID: this.#origin.rpId,
        requireUserVerification: true,
        supportedAlgorithmIDs: ALGORITHMS,
      })
      if (!result.verified) return null
      const { credential, credentialDeviceType, credentialBackedUp, aaguid } = result.registrationInfo
      return {
        credentialId: credential.id,
        publicKey: Buffer.from(credential.publicKey),
        counter: credential.counter,
        transports: credential.transports ?? [],
        backupEligible: credentialDeviceType === 'multiDevice',
        backedUp: credentialBackedUp,
        aaguid,
      }
    } catch {
      return null
    }
  }

  /** The credential id that an assertion names, before anything in it is believed. */
  credentialOf(assertion: unknown): string | null {
    const form = assertionForm.safeParse(assertion)
    return form.success ? form.data.id : null
  }

  /** Null when the answer doesn't hold. */
  async verifyAssertion(
    challenge: string,
    assertion: unknown,
    passkey: PasskeyRow,
  ): Promise<{ counter: number; backedUp: boolean } | null> {
    const form = assertionForm.safeParse(assertion)
    if (!form.success) return null
    const { userHandle } = form.data.response
    if (
      userHandle !== undefined &&
      userHandle !== Buffer.from(userHandleOf(passkey.personId)).toString('base64url')
    ) {
      return null
    }
    try {
      const result = await verifyAuthenticationResponse({
        response: { ...form.data, clientExtensionResults: {} } as AuthenticationResponseJSON,
        expectedChallenge: challenge,
        expectedOrigin: this.#origin.origin,
        expectedRPID: this.#origin.rpId,
        requireUserVerification: true,
        credential: {
          id: passkey.credentialId,
          publicKey: new Uint8Array(passkey.publicKey),
          counter: passkey.counter,
        },
      })
      if (!result.verified) return null
      return {
        counter: result.authenticationInfo.newCounter,
        backedUp: result.authenticationInfo.credentialBackedUp,
      }
    } catch {
      return null
    }
  }

  async #keep(
    query: Query,
    purpose: Purpose,
    challenge: string,
    personId: string | null,
    signInId: string | null,
  ): Promise<string> {
    const now = this.#clock.wall()
    const id = newId(now)
    await query`DELETE FROM webauthn_challenge WHERE expires_at < ${new Date(now)}`
    await query`
      INSERT INTO webauthn_challenge (id, purpose, challenge, person_id, sign_in_id, created_at, expires_at)
      VALUES (${id}, ${purpose}, ${challenge}, ${personId}, ${signInId}, ${new Date(now)},
        ${new Date(now + CHALLENGE_MS)})`
    return id
  }
}

/** WebAuthn's user handle: the person's id in bytes, so it says nothing about them (WebAuthn section 14.6.1). */
export function userHandleOf(personId: string): Uint8Array<ArrayBuffer> {
  return new Uint8Array(Buffer.from(personId.replaceAll('-', ''), 'hex'))
}

/** One answer for every way in which a passkey's answer can be wrong. */
export function passkeyRefused(): Failure {
  return new Failure(
    401,
    'passkey-refused',
    'This passkey was not accepted.',
    'Try again. If it stays so, ask an administrator for a new set-up link.',
  )
}
