import ssh2 from 'ssh2'
import type { Answer, Body } from '../contract/api/index.ts'
import type { Clock } from '../domain/clock.ts'
import { conflict, Failure, notFound, wrongField } from '../domain/failure.ts'
import { newId } from '../domain/ids.ts'
import { holds, type Principal } from '../domain/principal.ts'
import type { RdpSecurity } from '../domain/rdp.ts'
import { Secret } from '../domain/secret.ts'
import { deviationsOf, hasIdentity, needsCredential, type Probed, X509_IDENTITY } from '../domain/vnc.ts'
import { DEFAULT_ENDING, type Protocol } from '../domain/words.ts'
import { by } from '../identity/actor.ts'
import type { Vouching } from '../identity/vouched.ts'
import type { Database, Query } from '../store/sql.ts'
import { type Resolve, resolveAddress } from './addresses.ts'
import { type ExceptionRow, readStanding } from './exception-rows.ts'
import { type Caller, checkAdministers, notifyInventory, visibleSites } from './places.ts'
import {
  type AccountRow,
  type AssetRow,
  canonicalAsset,
  canonicalEndpoint,
  canonicalEndpointIdentity,
  canonicalZone,
  type EndpointIdentityRow,
  type EndpointRow,
  noteSeenIdentity,
  noteSeenRdp,
  noteSeenVnc,
  rdpOf,
  readAccounts,
  readAssets,
  readEndpoints,
  readIdentities,
  readZones,
  vncOf,
  type ZoneRow,
} from './rows.ts'
import type { Credential, Vault } from './vault.ts'

type AssetView = Answer<'GET /api/assets/:id'>
type EndpointView = AssetView['endpoints'][number]

/** Where a session goes: what a grant is written from. `address` is an IP address, resolved and checked just now. */
export interface Target {
  gatewayId: string
  address: { host: string; port: number }
  /** What was resolved, as the asset and its endpoint have it. */
  named: { host: string; port: number }
  zone: string
}

/** Asks a gateway what an address shows of itself; implemented by the link. Throws Failure when it can't. */
export type Probe = (
  gatewayId: string,
  protocol: Protocol,
  address: { host: string; port: number },
) => Promise<Probed>

export interface AssetDeps {
  db: Database
  audit: Vouching
  clock: Clock
  vault: Vault
  probe: Probe
  /** Resolves names; the system's resolver (with its hosts file) unless a test gives another. */
  resolve: Resolve
}

/** Assets with their endpoints, pinned identities and credentials. */
export class Assets {
  readonly #deps: AssetDeps

  constructor(deps: AssetDeps) {
    this.#deps = deps
  }

  async list(principal: Principal): Promise<AssetView[]> {
    const { sql } = this.#deps.db
    return this.#views(sql, principal, await readAssets(sql, 'site_id', visibleSites(principal)))
  }

  async get(principal: Principal, id: string): Promise<AssetView> {
    const [asset] = await readAssets(this.#deps.db.sql, 'id', [id])
    if (!asset || !holds(principal, asset.siteId, 'administrator', 'approver', 'operator', 'auditor')) {
      throw notFound('asset')
    }
    return this.#view(this.#deps.db.sql, principal, asset)
  }

  async add(caller: Caller, body: Body<'POST /api/assets'>): Promise<AssetView> {
    checkAdministers(caller.principal, body.siteId)
    await this.#checkAddress(body)
    const { db, audit, clock } = this.#deps
    return db.tx(async (tx) => {
      const now = clock.wall()
      const row: AssetRow = {
        ...rowOf(body),
        id: newId(now),
        gatewayId: null,
        enabled: true,
        operatorsUseConsole: false,
      }
      await tx`
        INSERT INTO asset (id, site_id, zone_id, name, description, type, criticality, owner, address, enabled,
          ending_mode, ending_hold_seconds, ending_input_during_grace, safety, availability, integrity,
          confidentiality, regulatory, hazard, compensating_controls, last_verified_at, created_at)
        VALUES (${row.id}, ${row.siteId}, ${row.zoneId}, ${row.name}, ${row.description}, ${row.type},
          ${row.criticality}, ${row.owner}, ${row.address}, true, ${row.endingMode}, ${row.endingHoldSeconds},
          ${row.endingInputDuringGrace}, ${row.safety}, ${row.availability}, ${row.integrity},
          ${row.confidentiality}, ${row.regulatory}, ${row.hazard}, ${row.compensatingControls},
          ${row.lastVerifiedAt}, ${new Date(now)})`
      await audit.record(tx, {
        ...by(caller),
        action: 'asset.added',
        object: { kind: 'asset', id: row.id },
        after: canonicalAsset(row),
        details: { name: row.name, site: row.siteId, criticality: row.criticality },
      })
      return this.#view(tx, caller.principal, row)
    })
  }

  async replace(caller: Caller, id: string, body: Body<'PUT /api/assets/:id'>): Promise<AssetView> {
    checkAdministers(caller.principal, body.siteId)
    await this.#checkAddress(body)
    return this.#change(caller, id, null, (asset) => {
      if (asset.siteId !== body.siteId) {
        throw conflict(
          'other-site',
          'An asset stays at its site.',
          'Add it at the other site, disable it here.',
        )
      }
      const { gatewayId, enabled, operatorsUseConsole } = asset
      return { ...rowOf(body), id, gatewayId, enabled, operatorsUseConsole }
    })
  }

  async patch(caller: Caller, id: string, body: Body<'PATCH /api/assets/:id'>): Promise<AssetView> {
    if (body.gatewayId !== undefined) await this.#checkGateway(caller, id, body.gatewayId)
    return this.#change(caller, id, body.reason, (asset) => ({
      ...asset,
      enabled: body.enabled ?? asset.enabled,
      gatewayId: body.gatewayId ?? asset.gatewayId,
      operatorsUseConsole: body.operatorsUseConsole ?? asset.operatorsUseConsole,
    }))
  }

  async addEndpoint(
    caller: Caller,
    id: string,
    body: Body<'POST /api/assets/:id/endpoints'>,
  ): Promise<AssetView> {
    const { db, audit, clock } = this.#deps
    const reason = (body.protocol === 'rdp' && body.security === 'tls' && body.reason) || null
    if (body.protocol === 'rdp') checkReason(body.security, reason)
    return db.tx(async (tx) => {
      const asset = await this.#mine(tx, caller.principal, id)
      const now = clock.wall()
      const row: EndpointRow = {
        id: newId(now),
        assetId: id,
        protocol: body.protocol,
        port: body.port,
        vncSecurity: body.protocol === 'vnc' ? body.security : null,
        vncAuthentication: body.protocol === 'vnc' ? body.authentication : null,
        seenVncSecurity: null,
        seenVncAuthentication: null,
        seenVncAt: null,
        rdpSecurity: body.protocol === 'rdp' ? body.security : null,
        seenRdpSecurity: null,
        seenRdpAt: null,
        seenAlgorithm: null,
        seenFingerprint: null,
        seenAt: null,
      }
      await tx`
        INSERT INTO endpoint (id, asset_id, protocol, port, vnc_security, vnc_authentication, rdp_security, created_at)
        VALUES (${row.id}, ${id}, ${row.protocol}, ${row.port}, ${row.vncSecurity}, ${row.vncAuthentication},
          ${row.rdpSecurity}, ${new Date(now)})`
      await audit.record(tx, {
        ...by(caller),
        action: 'endpoint.added',
        object: { kind: 'endpoint', id: row.id },
        reason,
        after: canonicalEndpoint(row),
        details: { asset: id, protocol: row.protocol, port: row.port, ...vncOf(row), ...rdpOf(row) },
      })
      return this.#view(tx, caller.principal, asset)
    })
  }

  /** Asks the asset's gateway for the host key or certificate. What comes back is noted and shown, not trusted. */
  async probe(caller: Caller, endpointId: string): Promise<Probed> {
    const { db, audit, clock, probe } = this.#deps
    const { gatewayId, asset, endpoint, zone } = await db.tx(async (tx) => {
      const found = await this.#endpoint(tx, caller.principal, endpointId)
      if (found.asset.gatewayId === null) {
        throw conflict('no-gateway', 'This asset has no gateway yet.', 'Choose its gateway first.')
      }
      return { ...found, gatewayId: found.asset.gatewayId, zone: await this.#wayTo(tx, found) }
    }, 'repeatable read read only')
    if (!zone) throw notFound('zone')
    const host = await resolveAddress(asset.address, zone.ranges, this.#deps.resolve)
    const seen = await probe(gatewayId, endpoint.protocol, { host, port: endpoint.port })
    await db.tx(async (tx) => {
      const now = new Date(clock.wall())
      if (seen.identity) await noteSeenIdentity(tx, endpointId, seen.identity, now)
      if (seen.vnc) await noteSeenVnc(tx, endpointId, seen.vnc, now)
      if (seen.rdp) await noteSeenRdp(tx, endpointId, seen.rdp, now)
      await audit.record(tx, {
        ...by(caller),
        action: 'endpoint-identity.probed',
        object: { kind: 'asset', id: asset.id },
        details: { endpoint: endpointId, ...seen.identity, ...seen.vnc, ...seen.rdp },
      })
    })
    return seen
  }

  /** Pins a host key or certificate that a person compared. A former one of the same algorithm is retired. */
  async acceptIdentity(
    caller: Caller,
    endpointId: string,
    body: Body<'POST /api/endpoints/:id/identity/accept'>,
  ): Promise<AssetView> {
    if (!/^SHA256:[A-Za-z0-9+/]{43}$/.test(body.fingerprint)) {
      throw new Failure(
        400,
        'fingerprint-not-readable',
        'This is no fingerprint: SHA256: and 43 characters, as OpenSSH prints it.',
        'Copy it from the asset: ssh-keygen -l -f /etc/ssh/ssh_host_ed25519_key.pub; of a certificate, SHA256: and the base64 of the SHA-256 of its DER.',
      )
    }
    const { db, audit, clock } = this.#deps
    return db.tx(async (tx) => {
      const { asset, endpoint } = await this.#endpoint(tx, caller.principal, endpointId, true)
      await audit.verifyObject(tx, 'endpoint', endpointId, canonicalEndpoint(endpoint))
      checkPinnable(endpoint, body.algorithm)
      const pinned = await readIdentities(tx, 'endpoint_id', [endpointId])
      if (pinned.some((known) => known.fingerprint === body.fingerprint)) {
        throw conflict('pinned-already', 'This identity is accepted already.', 'Nothing is left to do.')
      }
      const now = new Date(clock.wall())
      const former = pinned.filter((known) => known.algorithm === body.algorithm)
      await this.#retire(tx, caller, former, now, body.reason)
      const row: EndpointIdentityRow = {
        id: newId(now.getTime()),
        endpointId,
        algorithm: body.algorithm,
        fingerprint: body.fingerprint,
        acceptedBy: caller.principal.personId,
        acceptedAt: now,
      }
      await tx`
        INSERT INTO endpoint_identity (id, endpoint_id, algorithm, fingerprint, accepted_by, accepted_at, reason)
        VALUES (${row.id}, ${endpointId}, ${row.algorithm}, ${row.fingerprint}, ${row.acceptedBy},
          ${row.acceptedAt}, ${body.reason})`
      await audit.record(tx, {
        ...by(caller),
        action: 'endpoint-identity.accepted',
        object: { kind: 'endpoint-identity', id: row.id },
        reason: body.reason,
        after: canonicalEndpointIdentity(row),
        details: {
          endpoint: endpointId,
          asset: asset.id,
          algorithm: row.algorithm,
          fingerprint: row.fingerprint,
        },
      })
      await notifyInventory(tx, { kind: 'endpoint', id: endpointId })
      return this.#view(tx, caller.principal, asset)
    })
  }

  /** What an administrator learns late, or what was changed on the asset: a new declaration, which voids approvals. */
  async declare(
    caller: Caller,
    endpointId: string,
    body: Body<'PATCH /api/endpoints/:id'>,
  ): Promise<AssetView> {
    const { db, audit, clock } = this.#deps
    return db.tx(async (tx) => {
      const { asset, endpoint } = await this.#endpoint(tx, caller.principal, endpointId, true)
      if (endpoint.protocol !== body.protocol) {
        throw conflict(
          'other-protocol',
          `This is no ${body.protocol.toUpperCase()} endpoint.`,
          'Declare it by its own protocol; one for SSH has nothing to declare.',
        )
      }
      await audit.verifyObject(tx, 'endpoint', endpointId, canonicalEndpoint(endpoint))
      const after: EndpointRow = {
        ...endpoint,
        ...(body.protocol === 'vnc'
          ? { vncSecurity: body.security, vncAuthentication: body.authentication }
          : { rdpSecurity: body.security }),
      }
      await tx`UPDATE endpoint SET vnc_security = ${after.vncSecurity},
        vnc_authentication = ${after.vncAuthentication}, rdp_security = ${after.rdpSecurity} WHERE id = ${endpointId}`
      await audit.record(tx, {
        ...by(caller),
        action: 'endpoint.changed',
        object: { kind: 'endpoint', id: endpointId },
        reason: body.reason,
        before: canonicalEndpoint(endpoint),
        after: canonicalEndpoint(after),
        details: { asset: asset.id, ...vncOf(after), ...rdpOf(after) },
      })
      // A certificate that is not asked for any more must be compared again before it is.
      if (!hasIdentity(vncOf(after))) {
        const pinned = await readIdentities(tx, 'endpoint_id', [endpointId])
        await this.#retire(tx, caller, pinned, new Date(clock.wall()), body.reason)
      }
      await notifyInventory(tx, { kind: 'endpoint', id: endpointId })
      return this.#view(tx, caller.principal, asset)
    })
  }

  async setCredential(
    caller: Caller,
    endpointId: string,
    account: string,
    body: Body<'PUT /api/endpoints/:id/accounts/:account/credential'>,
  ): Promise<AssetView> {
    const credential = credentialOf(body)
    const { db, audit, clock, vault } = this.#deps
    return db.tx(async (tx) => {
      const { asset, endpoint } = await this.#endpoint(tx, caller.principal, endpointId, true)
      checkCredential(endpoint, credential)
      const sealed = vault.seal({ endpointId, account }, credential)
      const before = await readSealed(tx, endpointId, account)
      const now = new Date(clock.wall())
      await tx`
        INSERT INTO credential (endpoint_id, account, kind, sealed, vault_key_id, updated_by, updated_at)
        VALUES (${endpointId}, ${account}, ${credential.kind}, ${sealed}, ${vault.keyId},
          ${caller.principal.personId}, ${now})
        ON CONFLICT (endpoint_id, account) DO UPDATE SET kind = EXCLUDED.kind, sealed = EXCLUDED.sealed,
          vault_key_id = EXCLUDED.vault_key_id, updated_by = EXCLUDED.updated_by, updated_at = EXCLUDED.updated_at`
      await audit.record(tx, {
        ...by(caller),
        action: 'credential.set',
        object: { kind: 'credential', id: `${endpointId}/${account}` },
        before: before && canonicalCredential(endpointId, account, before),
        after: canonicalCredential(endpointId, account, { kind: credential.kind, sealed }),
        details: { asset: asset.id, account, kind: credential.kind },
      })
      return this.#view(tx, caller.principal, asset)
    })
  }

  /**
   * Where a session on this endpoint goes. Every row on the way is vouched for by the audit log, or IntegrityError is
   * thrown; a name is resolved now and only now, so nobody resolves it differently later (threat 19). Null when the
   * endpoint is gone or has no gateway.
   */
  async target(endpointId: string): Promise<Target | null> {
    const found = await this.#deps.db.tx(async (tx) => {
      const [endpoint] = await readEndpoints(tx, 'id', [endpointId])
      const [asset] = endpoint ? await readAssets(tx, 'id', [endpoint.assetId]) : []
      if (!endpoint || !asset || asset.gatewayId === null) return null
      const zone = await this.#wayTo(tx, { endpoint, asset })
      return zone && { gatewayId: asset.gatewayId, endpoint, asset, zone }
    }, 'repeatable read read only')
    if (!found) return null
    const { gatewayId, endpoint, asset, zone } = found
    // After the transaction: a resolver that is slow must not hold a connection.
    const host = await resolveAddress(asset.address, zone.ranges, this.#deps.resolve)
    const { port } = endpoint
    return { gatewayId, address: { host, port }, named: { host: asset.address, port }, zone: zone.name }
  }

  /**
   * The credential of an account, for the one use of a grant; null when the vault has none. In a repeatable-read
   * transaction.
   */
  async credential(query: Query, endpointId: string, account: string): Promise<Credential | null> {
    const row = await readSealed(query, endpointId, account)
    if (!row) return null
    await this.#deps.audit.verifyObject(
      query,
      'credential',
      `${endpointId}/${account}`,
      canonicalCredential(endpointId, account, row),
    )
    return this.#deps.vault.open({ endpointId, account }, row.kind, row.sealed)
  }

  async #retire(
    tx: Query,
    caller: Caller,
    identities: readonly EndpointIdentityRow[],
    at: Date,
    reason: string,
  ): Promise<void> {
    for (const old of identities) {
      await tx`UPDATE endpoint_identity SET retired_at = ${at} WHERE id = ${old.id}`
      await this.#deps.audit.record(tx, {
        ...by(caller),
        action: 'endpoint-identity.retired',
        object: { kind: 'endpoint-identity', id: old.id },
        reason,
        before: canonicalEndpointIdentity(old),
        after: null,
        details: { endpoint: old.endpointId, fingerprint: old.fingerprint },
      })
    }
  }

  async #change(
    caller: Caller,
    id: string,
    reason: string | null,
    change: (asset: AssetRow) => AssetRow,
  ): Promise<AssetView> {
    const { db, audit } = this.#deps
    return db.tx(async (tx) => {
      const before = await this.#mine(tx, caller.principal, id)
      await audit.verifyObject(tx, 'asset', id, canonicalAsset(before))
      const after = change(before)
      await tx`
        UPDATE asset SET zone_id = ${after.zoneId}, gateway_id = ${after.gatewayId}, name = ${after.name},
          description = ${after.description}, type = ${after.type}, criticality = ${after.criticality},
          owner = ${after.owner}, address = ${after.address}, enabled = ${after.enabled},
          ending_mode = ${after.endingMode}, ending_hold_seconds = ${after.endingHoldSeconds},
          ending_input_during_grace = ${after.endingInputDuringGrace}, safety = ${after.safety},
          availability = ${after.availability}, integrity = ${after.integrity},
          confidentiality = ${after.confidentiality}, regulatory = ${after.regulatory}, hazard = ${after.hazard},
          compensating_controls = ${after.compensatingControls}, last_verified_at = ${after.lastVerifiedAt},
          operators_use_console = ${after.operatorsUseConsole}
        WHERE id = ${id}`
      await audit.record(tx, {
        ...by(caller),
        action: before.enabled && !after.enabled ? 'asset.disabled' : 'asset.changed',
        object: { kind: 'asset', id },
        reason,
        before: canonicalAsset(before),
        after: canonicalAsset(after),
      })
      await notifyInventory(tx, { kind: 'asset', id })
      return this.#view(tx, caller.principal, after)
    })
  }

  /** The asset, locked, when this administrator may change it. */
  async #mine(tx: Query, principal: Principal, id: string): Promise<AssetRow> {
    const [asset] = await readAssets(tx, 'id', [id], true)
    if (!asset || !holds(principal, asset.siteId, 'administrator')) throw notFound('asset')
    return asset
  }

  async #endpoint(
    query: Query,
    principal: Principal,
    id: string,
    lock = false,
  ): Promise<{ asset: AssetRow; endpoint: EndpointRow }> {
    const [endpoint] = await readEndpoints(query, 'id', [id])
    const [asset] = endpoint ? await readAssets(query, 'id', [endpoint.assetId], lock) : []
    if (!endpoint || !asset || !holds(principal, asset.siteId, 'administrator')) throw notFound('endpoint')
    return { asset, endpoint }
  }

  async #checkGateway(caller: Caller, assetId: string, gatewayId: string): Promise<void> {
    const { sql } = this.#deps.db
    const [asset] = await readAssets(sql, 'id', [assetId])
    if (!asset || !holds(caller.principal, asset.siteId, 'administrator')) throw notFound('asset')
    const [gateway] = await sql`
      SELECT id FROM gateway WHERE id = ${gatewayId} AND site_id = ${asset.siteId} AND revoked_at IS NULL`
    if (!gateway) throw notFound('gateway')
  }

  async #checkAddress(body: Body<'POST /api/assets'>): Promise<void> {
    const [zone] = await readZones(this.#deps.db.sql, 'id', [body.zoneId])
    if (!zone || zone.siteId !== body.siteId) throw notFound('zone')
    await resolveAddress(body.address, zone.ranges, this.#deps.resolve)
  }

  /** The asset's zone; throws IntegrityError unless the log vouches for every row on the way to the endpoint. */
  async #wayTo(
    tx: Query,
    { endpoint, asset }: { endpoint: EndpointRow; asset: AssetRow },
  ): Promise<ZoneRow | null> {
    const [zone] = await readZones(tx, 'id', [asset.zoneId])
    if (!zone) return null
    await this.#deps.audit.verifyObjects(tx, [
      { kind: 'endpoint', id: endpoint.id, current: canonicalEndpoint(endpoint) },
      { kind: 'asset', id: asset.id, current: canonicalAsset(asset) },
      { kind: 'zone', id: zone.id, current: canonicalZone(zone) },
    ])
    return zone
  }

  async #view(query: Query, principal: Principal, asset: AssetRow): Promise<AssetView> {
    const [view] = await this.#views(query, principal, [asset])
    if (!view) throw notFound('asset')
    return view
  }

  async #views(query: Query, principal: Principal, assets: readonly AssetRow[]): Promise<AssetView[]> {
    if (assets.length === 0) return []
    const endpoints = await readEndpoints(
      query,
      'asset_id',
      assets.map(({ id }) => id),
    )
    const endpointIds = endpoints.map(({ id }) => id)
    const identities = await readIdentities(query, 'endpoint_id', endpointIds)
    const accounts = await readAccounts(query, endpointIds)
    const exceptions = await readStanding(query, endpointIds)
    const now = this.#deps.clock.wall()
    const zones = await readZones(query, 'id', [...new Set(assets.map(({ zoneId }) => zoneId))])
    const sites = await query<{ id: string; name: string }[]>`
      SELECT id, name FROM site WHERE id IN ${query([...new Set(assets.map(({ siteId }) => siteId))])}`
    const gatewayIds = [
      ...new Set(assets.flatMap(({ gatewayId }) => (gatewayId === null ? [] : [gatewayId]))),
    ]
    const gateways =
      gatewayIds.length === 0
        ? []
        : await query<{ id: string; name: string; zoneId: string; revoked: boolean }[]>`
            SELECT id, name, zone_id AS "zoneId", revoked_at IS NOT NULL AS revoked
            FROM gateway WHERE id IN ${query(gatewayIds)}`
    const conduits = await query<{ fromZoneId: string; toZoneId: string }[]>`
      SELECT from_zone_id AS "fromZoneId", to_zone_id AS "toZoneId" FROM conduit
      WHERE enabled AND to_zone_id IN ${query([...new Set(assets.map(({ zoneId }) => zoneId))])}`
    const named = (list: readonly { id: string; name: string }[], id: string) => ({
      id,
      name: list.find((item) => item.id === id)?.name ?? '',
    })
    return assets.map((asset) => {
      const own = endpoints
        .filter((endpoint) => endpoint.assetId === asset.id)
        .map((endpoint) => endpointView(endpoint, identities, accounts, exceptions, now))
      const gateway = gateways.find((candidate) => candidate.id === asset.gatewayId) ?? null
      const reached = conduits.some(
        (conduit) => conduit.toZoneId === asset.zoneId && conduit.fromZoneId === gateway?.zoneId,
      )
      return {
        id: asset.id,
        site: named(sites, asset.siteId),
        zone: named(zones, asset.zoneId),
        gateway: gateway && { id: gateway.id, name: gateway.name },
        name: asset.name,
        description: asset.description,
        type: asset.type,
        criticality: asset.criticality,
        owner: asset.owner,
        address: holds(principal, asset.siteId, 'administrator') ? asset.address : null,
        enabled: asset.enabled,
        operatorsUseConsole: asset.operatorsUseConsole,
        ending: {
          mode: asset.endingMode,
          holdSeconds: asset.endingHoldSeconds,
          inputDuringGrace: asset.endingInputDuringGrace,
        },
        consequence: {
          safety: asset.safety,
          availability: asset.availability,
          integrity: asset.integrity,
          confidentiality: asset.confidentiality,
          regulatory: asset.regulatory,
        },
        hazard: asset.hazard,
        compensatingControls: asset.compensatingControls,
        lastVerifiedAt: asset.lastVerifiedAt === null ? null : asset.lastVerifiedAt.toISOString(),
        incomplete: missing(asset, own, gateway !== null && !gateway.revoked, reached),
        endpoints: own,
      }
    })
  }
}

/** What is missing before anybody can work on the asset, in words for the administrator's page. */
function missing(
  asset: AssetRow,
  endpoints: readonly EndpointView[],
  gateway: boolean,
  conduit: boolean,
): string[] {
  const list: string[] = []
  if (asset.hazard.trim() === '') list.push('what can go wrong')
  if (!gateway) list.push('a gateway')
  else if (!conduit) list.push('a conduit from its gateway’s zone')
  if (endpoints.length === 0) list.push('an endpoint')
  for (const endpoint of endpoints) {
    const where = `${endpoint.protocol} port ${endpoint.port}`
    const { vnc, rdp, identity } = endpoint
    const proof = endpoint.protocol === 'ssh' ? 'host key' : 'certificate'
    const differs =
      vnc?.seen && (vnc.seen.security !== vnc.security || vnc.seen.authentication !== vnc.authentication)
    // A server without NLA opens nothing while NLA is required; one that could do better only shows it.
    if (differs || (rdp?.seen?.security === 'tls' && rdp.security === 'nla'))
      list.push(`a declaration that fits what was seen (${where})`)
    if (hasIdentity(vnc) && identity.state === 'none') list.push(`an accepted ${proof} (${where})`)
    if (hasIdentity(vnc) && identity.state === 'changed')
      list.push(`a decision on its changed ${proof} (${where})`)
    if (needsCredential(vnc) && endpoint.accounts.length === 0)
      list.push(`an account with a credential (${where})`)
    for (const { kind, exception } of endpoint.deviations)
      if (exception?.state !== 'open') list.push(`an exception for ${kind.replaceAll('-', ' ')} (${where})`)
  }
  return list
}

/** Throws Failure unless an identity of this kind can be pinned for the endpoint. */
function checkPinnable(endpoint: EndpointRow, algorithm: string): void {
  if (!hasIdentity(vncOf(endpoint))) {
    throw conflict(
      'nothing-to-pin',
      'This endpoint is declared to have no identity of its own.',
      'If it has a certificate now, declare that first. Without one it needs an open exception.',
    )
  }
  const proof = endpoint.protocol === 'ssh' ? "the host key's algorithm" : X509_IDENTITY
  if ((proof === X509_IDENTITY) !== (algorithm === X509_IDENTITY)) {
    throw new Failure(
      400,
      'identity-of-another-protocol',
      `An identity of the kind ${algorithm} cannot be pinned for ${endpoint.protocol}.`,
      `Give what the probe showed: ${proof}.`,
    )
  }
}

/** VNC and RDP servers know passwords only; one that asks for none is given none. */
function checkCredential(endpoint: EndpointRow, credential: Credential): void {
  if (!needsCredential(vncOf(endpoint))) {
    throw conflict(
      'no-credential-needed',
      'This endpoint asks for no password.',
      'If it does by now, declare that first.',
    )
  }
  if (endpoint.protocol === 'vnc' && credential.kind !== 'password') {
    throw new Failure(
      400,
      'credential-not-for-vnc',
      'A VNC endpoint takes a password, not a key.',
      'Give its password; VNC authentication looks at the first 8 characters.',
    )
  }
  if (endpoint.protocol === 'rdp' && credential.kind !== 'password') {
    throw new Failure(
      400,
      'credential-not-for-rdp',
      'An RDP endpoint takes a password, not a key.',
      "Give the Windows account's password.",
    )
  }
}

/** Why a server is asked for less than it could have must be written down; with NLA nothing is left to explain. */
function checkReason(security: RdpSecurity['security'], reason: string | null): void {
  if (security === 'tls' && reason === null) {
    throw wrongField(
      'reason-needed',
      'reason',
      'An RDP endpoint without Network Level Authentication needs a reason.',
      'Say why its server has none.',
    )
  }
}

function endpointView(
  endpoint: EndpointRow,
  identities: readonly EndpointIdentityRow[],
  accounts: readonly AccountRow[],
  exceptions: readonly ExceptionRow[],
  now: number,
): EndpointView {
  const accepted = identities.filter((identity) => identity.endpointId === endpoint.id)
  const { seenAlgorithm, seenFingerprint, seenAt } = endpoint
  const vnc = vncOf(endpoint)
  const rdp = rdpOf(endpoint)
  const changed =
    seenFingerprint !== null && !accepted.some((identity) => identity.fingerprint === seenFingerprint)
  return {
    id: endpoint.id,
    protocol: endpoint.protocol,
    port: endpoint.port,
    vnc: vnc && { ...vnc, seen: seenVncOf(endpoint) },
    rdp: rdp && { ...rdp, seen: seenRdpOf(endpoint) },
    deviations: deviationsOf(vnc).map((kind) => {
      const found = exceptions.find((row) => row.endpointId === endpoint.id && row.kind === kind)
      return {
        kind,
        exception: found
          ? {
              id: found.id,
              state: found.expiresAt.getTime() <= now ? 'expired' : 'open',
              expiresAt: found.expiresAt.toISOString(),
            }
          : null,
      }
    }),
    accounts: accounts
      .filter((row) => row.endpointId === endpoint.id)
      .map((row) => ({ name: row.account, credential: row.kind })),
    identity: {
      state: accepted.length === 0 ? 'none' : changed ? 'changed' : 'accepted',
      accepted: accepted.map(({ algorithm, fingerprint }) => ({ algorithm, fingerprint })),
      seen:
        seenAlgorithm === null || seenFingerprint === null
          ? null
          : { algorithm: seenAlgorithm, fingerprint: seenFingerprint },
      seenAt: seenAt === null ? null : seenAt.toISOString(),
    },
  }
}

function seenVncOf({ seenVncSecurity, seenVncAuthentication, seenVncAt }: EndpointRow) {
  return seenVncSecurity === null || seenVncAuthentication === null || seenVncAt === null
    ? null
    : { security: seenVncSecurity, authentication: seenVncAuthentication, at: seenVncAt.toISOString() }
}

function seenRdpOf({ seenRdpSecurity, seenRdpAt }: EndpointRow) {
  return seenRdpSecurity === null || seenRdpAt === null
    ? null
    : { security: seenRdpSecurity, at: seenRdpAt.toISOString() }
}

function rowOf(
  body: Body<'POST /api/assets'>,
): Omit<AssetRow, 'id' | 'gatewayId' | 'enabled' | 'operatorsUseConsole'> {
  const ending = body.ending ?? DEFAULT_ENDING[body.criticality]
  const longest = { 'operator-confirm': 1800, grace: 600, cut: 0 }[ending.mode]
  if (ending.holdSeconds > longest) {
    throw new Failure(
      400,
      'ending-too-long',
      `With "${ending.mode}" a session is held for ${longest} s at most.`,
      'Shorten the time or choose another way to end.',
    )
  }
  return {
    siteId: body.siteId,
    zoneId: body.zoneId,
    name: body.name,
    description: body.description,
    type: body.type,
    criticality: body.criticality,
    owner: body.owner,
    address: body.address,
    endingMode: ending.mode,
    endingHoldSeconds: ending.holdSeconds,
    endingInputDuringGrace: ending.inputDuringGrace,
    ...body.consequence,
    hazard: body.hazard,
    compensatingControls: body.compensatingControls,
    lastVerifiedAt: body.lastVerifiedAt === null ? null : new Date(body.lastVerifiedAt),
  }
}

function credentialOf(body: Body<'PUT /api/endpoints/:id/accounts/:account/credential'>): Credential {
  if (body.kind === 'password') return { kind: 'password', password: new Secret(body.password) }
  const parsed = ssh2.utils.parseKey(body.privateKey, body.passphrase ?? undefined)
  const keys = Array.isArray(parsed) ? parsed : [parsed]
  if (keys.some((key) => key instanceof Error || !key.isPrivateKey())) {
    throw new Failure(
      400,
      'private-key-not-readable',
      'This is no private key in OpenSSH or PEM form, or the passphrase does not open it.',
      'Paste the whole file, from BEGIN to END, and its passphrase.',
    )
  }
  return {
    kind: 'private-key',
    privateKey: new Secret(body.privateKey),
    passphrase: body.passphrase === null ? null : new Secret(body.passphrase),
  }
}

async function readSealed(
  query: Query,
  endpointId: string,
  account: string,
): Promise<{ kind: Credential['kind']; sealed: Buffer } | null> {
  const [row] = await query<{ kind: Credential['kind']; sealed: Buffer }[]>`
    SELECT kind, sealed FROM credential WHERE endpoint_id = ${endpointId} AND account = ${account}`
  return row ?? null
}

/** Object kind `credential`: the sealed bytes, so that an older credential put back opens nothing. */
function canonicalCredential(
  endpointId: string,
  account: string,
  row: { kind: Credential['kind']; sealed: Buffer },
) {
  return { v: 1, endpointId, account, kind: row.kind, sealed: row.sealed.toString('base64url') }
}
