import { generateRegistrationOptions, verifyRegistrationResponse } from '@simplewebauthn/server'
import { CompactSign, compactVerify, exportJWK, generateKeyPair, importJWK, type JWK } from 'jose'
import { type Approvals, startApprovals } from '../../approvals/approvals.ts'
import type { ApprovalsDeps } from '../../approvals/deps.ts'
import { registerTicketKey } from '../../approvals/routes.ts'
import { TICKET_FILE_TYPE, ticketKeyId } from '../../approvals/tickets/ticket-file.ts'
import type { Api, Body } from '../../broker/contract/api/index.ts'
import type { Context } from '../../broker/contract/handler.ts'
import { JWS_TYPES } from '../../broker/domain/grant.ts'
import { newId } from '../../broker/domain/ids.ts'
import type { RuntimeFacts } from '../../broker/domain/ports.ts'
import type { Principal } from '../../broker/domain/principal.ts'
import type { Role } from '../../broker/domain/words.ts'
import { rowStates } from '../../broker/inventory/row-states.ts'
import { gatewayState, readGateway } from '../../broker/link/gateway-rows.ts'
import { SoftwareAuthenticator } from '../lab/software-authenticator.ts'
import { logKey, type TestLog, testLog } from './audit-support.ts'
import type { TestCluster, TestDatabase } from './database.ts'

export const ORIGIN = 'https://plant.example'
export const RP_ID = 'plant.example'
export const DEPLOYMENT = '01890a5d-ac96-774b-bcce-b302099a8057'
export const HOUR = 3_600_000
/** Tuesday 24 November 2026, 02:00 in Berlin: where the tests' clock starts. */
export const TWO = Date.UTC(2026, 10, 24, 1)
export const RUNNING: RuntimeFacts = {
  gatewayOnline: true,
  endpointBusyWith: null,
  clock: 'ok',
  storageBelowReserve: false,
  restoreUnconfirmed: false,
  authenticatedAt: TWO,
}

export interface Somebody {
  principal: Principal
  authenticator: SoftwareAuthenticator
}

export interface Plant {
  database: TestDatabase
  log: TestLog
  deps: ApprovalsDeps
  approvals: Approvals
  site: string
  vendor: string
  endpoint: string
  asset: string
  conduit: string
  gateway: string
  errors: unknown[]
  person(
    name: string,
    roles: Role[],
    more?: { vendor?: boolean; email?: string; confirmed?: boolean },
  ): Promise<Somebody>
  /** Runs a route's handler as that person. */
  call<K extends keyof Approvals['routes'] & keyof Api>(
    who: Somebody,
    key: K,
    input: { params?: unknown; query?: unknown; body?: unknown },
  ): Promise<Awaited<ReturnType<Approvals['routes'][K]>>>
  /** Signs and hands in a ticket file with these tickets. */
  ticketFile(tickets: Record<string, unknown>[], iat?: number): Promise<string>
  ticketKey: string
  close(): Promise<void>
}

/** A small plant in a database of its own: one robot cell behind one gateway, one vendor, a signed ticket CHG001. */
export async function makePlant(cluster: TestCluster, criticality = 'C2'): Promise<Plant> {
  const database = await cluster.database()
  const log = await testLog(cluster, database)
  log.clock.setWall(TWO)
  const { db } = database
  const { sql } = db
  const now = new Date(TWO - 30 * 24 * HOUR)
  const errors: unknown[] = []
  const deps: ApprovalsDeps = {
    db,
    audit: log.log,
    clock: log.clock,
    deployment: DEPLOYMENT,
    webauthn: { rpId: RP_ID, origins: [ORIGIN] },
    ticketSigner: {
      sign: (payload) => logKey.signJws(payload, JWS_TYPES.ticketSnapshot),
      async verify(jws) {
        const key = await importJWK({ kty: 'OKP', crv: 'Ed25519', x: logKey.x }, 'Ed25519')
        const read = await compactVerify(jws, key).catch(() => null)
        return read && JSON.parse(new TextDecoder().decode(read.payload))
      },
    },
    runtime: async () => ({
      gatewayOnline: true,
      clock: 'ok',
      storageBelowReserve: false,
      restoreUnconfirmed: false,
    }),
  }
  const vouch = async (...rows: { kind: string; id: string }[]) => {
    const states = await rowStates(sql, rows, {
      gateway: async (query, id) => {
        const row = await readGateway(query, id)
        return row && gatewayState(row)
      },
    })
    for (const { kind, id, current } of states)
      await log.log.record(sql, {
        action: `${kind}.added`,
        actor: { kind: 'system', id: 'test', name: null, organisation: null },
        object: { kind, id },
        after: current,
      })
  }

  const [site, zoneDmz, zoneCell, vendor, sponsor, gateway, asset, endpoint, identity, conduit] = Array.from(
    { length: 10 },
    () => newId(),
  ) as [string, string, string, string, string, string, string, string, string, string]
  await sql`INSERT INTO person (id, issuer, subject, name, enabled, created_at)
    VALUES (${sponsor}, 'local', ${sponsor}, 'Pia Sommer', true, ${now})`
  await sql`INSERT INTO vendor (id, name, enabled, contract_ends_at, sponsor_id, tier, created_at)
    VALUES (${vendor}, 'ACME Robotics', true, ${new Date(TWO + 300 * 24 * HOUR)}, ${sponsor}, '1', ${now})`
  await sql`INSERT INTO site (id, name, time_zone, created_at) VALUES (${site}, 'Plant Nord', 'Europe/Berlin', ${now})`
  await sql`INSERT INTO site_notice (site_id, version, text, created_at)
    VALUES (${site}, 1, 'You are recorded.', ${now})`
  for (const [id, name] of [
    [zoneDmz, 'OT DMZ'],
    [zoneCell, 'Cell 4'],
  ] as const)
    await sql`INSERT INTO zone (id, site_id, name, ranges, created_at)
      VALUES (${id}, ${site}, ${name}, ${sql.json(['10.4.0.0/16'])}, ${now})`
  await sql`INSERT INTO gateway (id, site_id, zone_id, name, certificate, certificate_ends_at, sign_key, seal_key,
      enrolled_at, created_at)
    VALUES (${gateway}, ${site}, ${zoneDmz}, 'gw-nord', ${'a'.repeat(64)}, ${new Date(TWO + 300 * 24 * HOUR)},
      ${sql.json({ kty: 'OKP' })}, ${sql.json({ kty: 'OKP' })}, ${now}, ${now})`
  await sql`INSERT INTO asset (id, site_id, zone_id, gateway_id, name, description, type, criticality, owner, address,
      ending_mode, ending_hold_seconds, safety, availability, integrity, confidentiality, regulatory, hazard,
      compensating_controls, created_at)
    VALUES (${asset}, ${site}, ${zoneCell}, ${gateway}, 'Robot cell 4', 'Welding robot', 'robot', ${criticality},
      'Otto Kranz', '10.4.1.7', 'operator-confirm', 1800, 2, 3, 2, 1, 0, 'The arm may move.', '', ${now})`
  await sql`INSERT INTO endpoint (id, asset_id, protocol, port, created_at) VALUES (${endpoint}, ${asset}, 'ssh', 22, ${now})`
  await sql`INSERT INTO endpoint_identity (id, endpoint_id, algorithm, fingerprint, accepted_by, accepted_at, reason)
    VALUES (${identity}, ${endpoint}, 'ssh-ed25519', 'SHA256:abc', ${sponsor}, ${now}, 'compared on site')`
  await sql`INSERT INTO credential (endpoint_id, account, kind, sealed, vault_key_id, updated_at)
    VALUES (${endpoint}, 'service', 'password', '\\x00', 'v', ${now})`
  await sql`INSERT INTO conduit (id, site_id, name, from_zone_id, to_zone_id, protocols, created_at)
    VALUES (${conduit}, ${site}, 'DMZ to cell 4', ${zoneDmz}, ${zoneCell}, ${sql.json(['ssh'])}, ${now})`
  await vouch(
    { kind: 'person', id: sponsor },
    { kind: 'vendor', id: vendor },
    { kind: 'site', id: site },
    { kind: 'zone', id: zoneDmz },
    { kind: 'zone', id: zoneCell },
    { kind: 'gateway', id: gateway },
    { kind: 'asset', id: asset },
    { kind: 'endpoint', id: endpoint },
    { kind: 'endpoint-identity', id: identity },
    { kind: 'conduit', id: conduit },
  )

  const pair = await generateKeyPair('Ed25519', { extractable: true })
  const jwk: JWK = await exportJWK(pair.publicKey)
  const kid = await ticketKeyId(jwk)
  const approvals = await startApprovals({
    ...deps,
    ticketFolder: null,
    onError: (error) => errors.push(error),
  })

  const plant: Plant = {
    database,
    log,
    deps,
    approvals,
    site,
    vendor,
    endpoint,
    asset,
    conduit,
    gateway,
    errors,
    ticketKey: kid,
    async person(name, roles, more = {}) {
      const id = newId()
      await sql`INSERT INTO person (id, issuer, subject, name, email, vendor_id, enabled, training_valid_until, created_at)
        VALUES (${id}, 'https://id.example', ${id}, ${name}, ${more.email ?? null}, ${more.vendor ? vendor : null}, true,
          ${more.vendor ? new Date(TWO + 100 * 24 * HOUR) : null}, ${now})`
      const rows = [{ kind: 'person', id }]
      for (const role of roles) {
        const roleId = newId()
        await sql`INSERT INTO role (id, person_id, role, site_id, granted_at)
          VALUES (${roleId}, ${id}, ${role}, ${site}, ${now})`
        rows.push({ kind: 'role', id: roleId })
      }
      const authenticator = new SoftwareAuthenticator(ORIGIN)
      if (more.confirmed !== false)
        rows.push({ kind: 'passkey', id: await register(id, name, authenticator, true) })
      else rows.push({ kind: 'passkey', id: await register(id, name, authenticator, false) })
      await vouch(...rows)
      return {
        authenticator,
        principal: {
          personId: id,
          issuer: 'https://id.example',
          subject: id,
          name,
          vendorId: more.vendor ? vendor : null,
          roles: roles.map((role) => ({ role, siteId: site })),
          signInId: newId(),
          method: 'passkey',
          authenticatedAt: TWO,
        },
      }
    },
    call(who, key, input) {
      const handler = approvals.routes[key] as (context: unknown) => Promise<never>
      return handler({
        params: input.params ?? {},
        query: input.query ?? {},
        body: input.body ?? {},
        principal: who.principal,
        sourceAddress: '192.0.2.1',
        requestId: 'r',
      } satisfies Partial<Record<keyof Context<'GET /api/me'>, unknown>>)
    },
    async ticketFile(tickets, iat = Math.floor(log.clock.wall() / 1000)) {
      const payload = new TextEncoder().encode(JSON.stringify({ v: 1, tickets }))
      return await new CompactSign(payload)
        .setProtectedHeader({ alg: 'Ed25519', typ: TICKET_FILE_TYPE, cty: 'application/json', kid, iat })
        .sign(pair.privateKey)
    },
    async close() {
      await approvals.close()
      await log.log.close()
    },
  }

  async function register(
    person: string,
    name: string,
    authenticator: SoftwareAuthenticator,
    confirmed: boolean,
  ): Promise<string> {
    const options = await generateRegistrationOptions({ rpName: 'Plant', rpID: RP_ID, userName: name })
    const { registrationInfo } = await verifyRegistrationResponse({
      response: await authenticator.create(options),
      expectedChallenge: options.challenge,
      expectedOrigin: ORIGIN,
      expectedRPID: RP_ID,
      requireUserVerification: true,
    })
    if (!registrationInfo) throw new Error('the passkey was not registered')
    const id = newId()
    await sql`INSERT INTO passkey (id, person_id, credential_id, public_key, backup_eligible, backed_up, aaguid, label,
        created_at, confirmed_by, confirmed_at)
      VALUES (${id}, ${person}, ${registrationInfo.credential.id}, ${Buffer.from(registrationInfo.credential.publicKey)},
        true, true, ${registrationInfo.aaguid}, 'phone', ${now}, ${confirmed ? sponsor : null},
        ${confirmed ? now : null})`
    return id
  }

  const administrator = await plant.person('Ada Admin', ['administrator'])
  await registerTicketKey(
    deps,
    administrator.principal,
    { siteId: site, name: 'Night export', jwk },
    '192.0.2.1',
  )
  await plant.call(administrator, 'POST /api/ticket-files', {
    body: { siteId: site, jws: await plant.ticketFile([ticket()], TWO / 1000 - 3600) },
  })
  return plant
}

export function ticket(change: Record<string, unknown> = {}): Record<string, unknown> {
  return {
    key: 'CHG001',
    title: 'Firmware of cell 4',
    state: 'approved',
    plannedStart: new Date(TWO - HOUR).toISOString(),
    plannedEnd: new Date(TWO + 6 * HOUR).toISOString(),
    items: ['Robot cell 4'],
    link: null,
    ...change,
  }
}

export function requestBody(
  plant: Plant,
  change: Partial<Body<'POST /api/requests'>> = {},
): Body<'POST /api/requests'> {
  return {
    endpointId: plant.endpoint,
    account: 'service',
    features: ['clipboard-copy'],
    purpose: 'Update the firmware',
    ticket: { system: 'file', key: 'CHG001' },
    window: { opensAt: new Date(TWO).toISOString(), closesAt: new Date(TWO + 4 * HOUR).toISOString() },
    ...change,
  }
}

type OptionsBody = Body<'POST /api/requests/:id/decision/options'>

/** Begins a decision and signs it, without sending it. */
export async function sign(
  plant: Plant,
  who: Somebody,
  requestId: string,
  change: Partial<OptionsBody> = {},
  bend: Parameters<SoftwareAuthenticator['get']>[1] = {},
) {
  const request = await plant.call(who, 'GET /api/requests/:id', { params: { id: requestId } })
  const begun = await plant.call(who, 'POST /api/requests/:id/decision/options', {
    params: { id: requestId },
    body: {
      decision: 'granted',
      constraints: {},
      snapshotHash: request.snapshotHash,
      reason: null,
      ...change,
    },
  })
  const assertion = await who.authenticator.get(
    begun.options as unknown as Parameters<SoftwareAuthenticator['get']>[0],
    bend,
  )
  return { challengeId: begun.challengeId, assertion, document: begun.document, meaning: begun.meaning }
}

export async function decide(
  plant: Plant,
  who: Somebody,
  requestId: string,
  change: Partial<OptionsBody> = {},
  bend: Parameters<SoftwareAuthenticator['get']>[1] = {},
) {
  const { challengeId, assertion } = await sign(plant, who, requestId, change, bend)
  return plant.call(who, 'POST /api/requests/:id/decision', {
    params: { id: requestId },
    body: { challengeId, assertion },
  })
}
