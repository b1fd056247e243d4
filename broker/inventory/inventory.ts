import { lookup } from 'node:dns/promises'
import { acknowledgeAlarm, siteOfAlarm } from '../audit/alarms.ts'
import type { Handlers } from '../contract/handler.ts'
import type { Clock } from '../domain/clock.ts'
import { notFound } from '../domain/failure.ts'
import { holds, holdsAnywhere } from '../domain/principal.ts'
import type { Secret } from '../domain/secret.ts'
import { by } from '../identity/actor.ts'
import type { Vouching } from '../identity/vouched.ts'
import type { Database, Query } from '../store/sql.ts'
import type { Resolve } from './addresses.ts'
import { Assets, type Probe, type Target } from './assets.ts'
import { Exceptions } from './exceptions.ts'
import { Places } from './places.ts'
import { type Credential, Vault } from './vault.ts'

export interface InventoryOptions {
  db: Database
  audit: Vouching
  clock: Clock
  /** `keys.vault`. */
  vaultKey: Secret<Buffer>
  probe: Probe
  resolve?: Resolve
}

type InventoryRoutes = Pick<
  Handlers,
  | 'GET /api/sites'
  | 'POST /api/sites'
  | 'PATCH /api/sites/:id'
  | 'GET /api/zones'
  | 'POST /api/zones'
  | 'GET /api/conduits'
  | 'POST /api/conduits'
  | 'PATCH /api/conduits/:id'
  | 'GET /api/assets'
  | 'GET /api/assets/:id'
  | 'POST /api/assets'
  | 'PUT /api/assets/:id'
  | 'PATCH /api/assets/:id'
  | 'POST /api/assets/:id/endpoints'
  | 'PATCH /api/endpoints/:id'
  | 'POST /api/endpoints/:id/identity/probe'
  | 'POST /api/endpoints/:id/identity/accept'
  | 'PUT /api/endpoints/:id/accounts/:account/credential'
  | 'GET /api/exceptions'
  | 'GET /api/exceptions/owners'
  | 'POST /api/exceptions'
  | 'POST /api/exceptions/:id/close'
  | 'POST /api/alarms/:id/acknowledge'
  | 'GET /healthz'
>

export interface Inventory {
  /** Handlers of broker/contract/api/inventory.ts (but for gateways and the health page) and of exceptions.ts. */
  routes: InventoryRoutes
  target(endpointId: string): Promise<Target | null>
  credential(query: Query, endpointId: string, account: string): Promise<Credential | null>
}

/** The system's resolver, hosts file included: plants often have no other. */
const systemResolve: Resolve = async (name) =>
  (await lookup(name, { all: true, order: 'verbatim' })).map(({ address }) => address)

export function openInventory(options: InventoryOptions): Inventory {
  const { db, audit, clock } = options
  const places = new Places(db, audit, clock)
  const exceptions = new Exceptions(db, audit, clock)
  const assets = new Assets({
    db,
    audit,
    clock,
    vault: new Vault(options.vaultKey),
    probe: options.probe,
    resolve: options.resolve ?? systemResolve,
  })
  const routes: InventoryRoutes = {
    'GET /api/sites': ({ principal }) => places.sites(principal),
    'POST /api/sites': (context) => places.addSite(context, context.body),
    'PATCH /api/sites/:id': (context) => places.changeSite(context, context.params.id, context.body),
    'GET /api/zones': ({ principal }) => places.zones(principal),
    'POST /api/zones': (context) => places.addZone(context, context.body),
    'GET /api/conduits': ({ principal }) => places.conduits(principal),
    'POST /api/conduits': (context) => places.addConduit(context, context.body),
    'PATCH /api/conduits/:id': (context) => places.changeConduit(context, context.params.id, context.body),
    'GET /api/assets': ({ principal }) => assets.list(principal),
    'GET /api/assets/:id': ({ principal, params }) => assets.get(principal, params.id),
    'POST /api/assets': (context) => assets.add(context, context.body),
    'PUT /api/assets/:id': (context) => assets.replace(context, context.params.id, context.body),
    'PATCH /api/assets/:id': (context) => assets.patch(context, context.params.id, context.body),
    'POST /api/assets/:id/endpoints': (context) =>
      assets.addEndpoint(context, context.params.id, context.body),
    'PATCH /api/endpoints/:id': (context) => assets.declare(context, context.params.id, context.body),
    'POST /api/endpoints/:id/identity/probe': (context) => assets.probe(context, context.params.id),
    'POST /api/endpoints/:id/identity/accept': (context) =>
      assets.acceptIdentity(context, context.params.id, context.body),
    'PUT /api/endpoints/:id/accounts/:account/credential': (context) =>
      assets.setCredential(context, context.params.id, context.params.account, context.body),
    'GET /api/exceptions': ({ principal, query }) => exceptions.list(principal, query),
    'GET /api/exceptions/owners': ({ principal, query }) => exceptions.owners(principal, query.siteId),
    'POST /api/exceptions': (context) => exceptions.open(context, context.body),
    'POST /api/exceptions/:id/close': (context) =>
      exceptions.close(context, context.params.id, context.body.reason),
    'POST /api/alarms/:id/acknowledge': async (context) => {
      await db.tx(async (tx) => {
        const site = await siteOfAlarm(tx, context.params.id)
        const may =
          site === null
            ? holdsAnywhere(context.principal, 'administrator')
            : site !== undefined && holds(context.principal, site, 'administrator', 'operator')
        if (!may) throw notFound('open alarm')
        if (!(await acknowledgeAlarm(tx, context.params.id, context.principal.name, context.body.reason)))
          throw notFound('open alarm')
        await audit.record(tx, {
          ...by(context),
          action: 'alarm.acknowledged',
          object: { kind: 'alarm', id: context.params.id },
          reason: context.body.reason,
        })
      })
      return { ok: true }
    },
    'GET /healthz': async () => ({ ok: true }),
  }
  return {
    routes,
    target: (endpointId) => assets.target(endpointId),
    credential: (query, endpointId, account) => assets.credential(query, endpointId, account),
  }
}
