import type { FastifyRequest } from 'fastify'
import type { RouteSpec } from '../contract/route.ts'
import type { Clock } from '../domain/clock.ts'
import { Failure } from '../domain/failure.ts'
import { holdsAnywhere, type Principal } from '../domain/principal.ts'
import type { PublicOrigin } from './origin.ts'

/** Opening a session, and everything an administrator changes, needs strong authentication no older than this. */
export const STEP_UP_MS = 5 * 60_000

/**
 * The first gate: who may call this route at all. Every handler then checks the object. Throws Failure with
 * `sign-in-needed` (401), `role-needed` or `step-up-required` (403).
 */
export function checkAccess(spec: RouteSpec, principal: Principal | null, clock: Clock): void {
  if (spec.access.who === 'public') return
  if (!principal) {
    throw new Failure(401, 'sign-in-needed', 'You are not signed in.', 'Sign in and try again.')
  }
  if (spec.access.who === 'roles' && !holdsAnywhere(principal, ...spec.access.roles)) {
    throw new Failure(
      403,
      'role-needed',
      `This is for people with the role ${spec.access.roles.join(' or ')}.`,
      'Ask an administrator of the site.',
    )
  }
  if (spec.stepUp && !isFresh(principal, clock)) {
    throw stepUpRequired()
  }
}

export function stepUpRequired(): Failure {
  return new Failure(
    403,
    'step-up-required',
    'This needs a fresh proof that it is you.',
    'Confirm with your passkey or sign in again, then repeat it.',
  )
}

/** A time in the future (a clock was set back) is not fresh. */
export function isFresh(principal: Principal, clock: Clock): boolean {
  const age = clock.wall() - principal.authenticatedAt
  return age >= -30_000 && age < STEP_UP_MS
}

/**
 * Refuses what another site's page made the browser send. Browsers put `Origin` on every request that isn't GET or
 * HEAD and a page can't change it; where it is missing, `Sec-Fetch-Site` (also out of a page's reach) must say that
 * the request is our own.
 */
export function checkSameOrigin(request: FastifyRequest, expected: PublicOrigin): void {
  const { origin } = request.headers
  const site = request.headers['sec-fetch-site']
  const ours =
    origin === undefined
      ? site === 'same-origin'
      : origin === expected.origin && (site ?? 'same-origin') === 'same-origin'
  if (!ours) {
    throw new Failure(
      403,
      'cross-site',
      'This request did not come from our own pages.',
      `Use the pages at ${expected.origin}.`,
    )
  }
}

export function csrfFailure(): Failure {
  return new Failure(
    403,
    'csrf-token',
    'The page is older than your sign-in.',
    'Load the page again and repeat it.',
  )
}
