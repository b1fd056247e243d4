import { clearAlarm } from '../audit/alarms.ts'
import { IntegrityError } from '../audit/integrity.ts'
import type { AuditLog } from '../audit/log.ts'
import type { EnrolRequest, EnrolResponse } from '../contract/link.ts'
import type { Clock } from '../domain/clock.ts'
import { Failure } from '../domain/failure.ts'
import type { JsonWebKeyPublic } from '../domain/grant.ts'
import { canonicalThumbprint } from '../keys/thumbprint.ts'
import type { Database } from '../store/sql.ts'
import { hashOfToken, redeemToken } from './enrolment-token.ts'
import type { GatewayDirectory } from './gateway-directory.ts'
import { gatewayState, readGateway } from './gateway-rows.ts'
import { type LinkCa, signGateway } from './link-authority.ts'

export interface EnrolDeps {
  db: Database
  audit: AuditLog
  clock: Clock
  ca: LinkCa
  deployment: string
  brokerKeys: () => JsonWebKeyPublic[]
  directory: GatewayDirectory
}

/**
 * Redeems a one-time token: the gateway's keys and its certificate come into force, former ones stop counting (a
 * rotation is just another enrolment). Throws Failure `enrolment-refused` (403), the same for an unknown, used and
 * expired token, and `bad-csr` (400).
 */
export async function enrol(deps: EnrolDeps, request: EnrolRequest, source: string): Promise<EnrolResponse> {
  const now = deps.clock.wall()
  const hash = hashOfToken(request.token)
  checkKey(request.signKey)
  checkKey(request.sealKey)
  const redeemed = deps.db.tx(async (tx) => {
    const token = hash && (await redeemToken(tx, deps.audit, hash, new Date(now), source))
    const before = token ? await readGateway(tx, token.gatewayId, true) : null
    if (!before || before.revokedAt !== null) throw refused()
    // Whatever the row says now is vouched for from here on, so it must be what was vouched for until here.
    await deps.audit.verifyObject(tx, 'gateway', before.id, gatewayState(before))
    const signed = await signGateway(deps.ca, request.csr, before.id, now)
    if (!signed) {
      throw new Failure(
        400,
        'bad-csr',
        'The certificate request is not a P-256 PKCS#10 request that verifies.',
        'Let the gateway make a new key and request.',
      )
    }
    const after = {
      ...before,
      certificate: signed.fingerprint,
      // Certificates have whole seconds; so has the row, and its hash.
      certificateEndsAt: new Date(Math.floor(signed.endsAt / 1000) * 1000),
      signKey: request.signKey,
      sealKey: request.sealKey,
      enrolledAt: new Date(now),
    }
    await tx`
      UPDATE gateway SET certificate = ${after.certificate}, certificate_ends_at = ${after.certificateEndsAt},
        sign_key = ${tx.json({ ...after.signKey })}, seal_key = ${tx.json({ ...after.sealKey })},
        enrolled_at = ${after.enrolledAt}, version = ${request.version}
      WHERE id = ${after.id}`
    await tx`
      INSERT INTO gateway_key (gateway_id, kid, sign_key, since)
      VALUES (${after.id}, ${after.signKey.kid}, ${tx.json({ ...after.signKey })}, ${after.enrolledAt})
      ON CONFLICT DO NOTHING`
    await deps.audit.record(tx, {
      action: 'gateway.enrolled',
      actor: { kind: 'gateway', id: after.id, name: after.name, organisation: null },
      authentication: { method: 'token', credential: null, at: new Date(now).toISOString() },
      source,
      object: { kind: 'gateway', id: after.id },
      before: gatewayState(before),
      after: gatewayState(after),
      details: {
        certificate: signed.fingerprint,
        signKey: request.signKey.kid,
        sealKey: request.sealKey.kid,
        version: request.version,
        calledItself: request.name,
      },
    })
    await clearAlarm(tx, 'gateway-certificate-ends', `gateway ${after.id}`, 'It has enrolled again.')
    const [found] = await tx<
      { id: string; name: string }[]
    >`SELECT id, name FROM site WHERE id = ${after.siteId}`
    if (!found) throw new Error('a gateway without its site')
    return { row: after, site: { id: found.id, name: found.name }, certificate: signed.certificate }
  })
  const { row, site, certificate } = await redeemed.catch((error: unknown) => {
    // The alarm is raised already; the caller learns no more than from any other token that does not count.
    throw error instanceof IntegrityError ? refused() : error
  })
  await deps.directory.changed(row)
  return {
    gateway: row.id,
    site,
    deployment: deps.deployment,
    certificate,
    ca: deps.ca.certificate,
    brokerKeys: deps.brokerKeys().map((key) => ({ ...key })),
  }
}

function refused(): Failure {
  return new Failure(
    403,
    'enrolment-refused',
    'This enrolment token is unknown, used already, expired, or its gateway was revoked.',
    'Ask an administrator for a new one; it is good for one hour and one use.',
  )
}

/** The point has 32 bytes and the name is its RFC 7638 thumbprint: auditors find a gateway's key by it. */
function checkKey(key: EnrolRequest['signKey'] | EnrolRequest['sealKey']): void {
  const bytes = Buffer.from(key.x, 'base64url')
  if (
    bytes.length !== 32 ||
    bytes.toString('base64url') !== key.x ||
    canonicalThumbprint({ kty: key.kty, crv: key.crv, x: key.x }) !== key.kid
  ) {
    throw new Failure(
      400,
      'bad-key',
      `The ${key.crv} key is not usable.`,
      'Send a public JWK with 32 bytes in x and its thumbprint as kid.',
    )
  }
}
