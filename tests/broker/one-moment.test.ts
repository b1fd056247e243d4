import { setTimeout as pause } from 'node:timers/promises'
import { afterAll, afterEach, beforeAll, beforeEach, describe, expect, it } from 'vitest'
import type { AuditLog } from '../../broker/audit/log.ts'
import { rowStates } from '../../broker/inventory/row-states.ts'
import type { Database, Query } from '../../broker/store/sql.ts'
import {
  decide,
  HOUR,
  makePlant,
  type Plant,
  requestBody,
  type Somebody,
  sign,
  TWO,
} from './approvals-support.ts'
import { startCluster, type TestCluster } from './database.ts'
import { assetBody, type TestBroker, testBroker, testPlant } from './identity-support.ts'

/*
 * A row and the log's latest entry about it are read one after the other, and somebody may change both in between. That
 * is no edit by hand: nothing may be refused for it and no alarm raised. `betweenRowAndEntry` makes just that happen.
 */

let cluster: TestCluster
beforeAll(async () => {
  cluster = await startCluster()
})
afterAll(() => cluster?.close())

/** Runs `change` once: after the next rows have been read, before they are held against the log. */
function betweenRowAndEntry(
  log: AuditLog,
  change: () => Promise<unknown>,
): { undo(): void; happened(): boolean } {
  const { verifyObjects } = log
  let happened = false
  log.verifyObjects = async (query, objects) => {
    if (!happened) {
      happened = true
      await change()
    }
    return verifyObjects.call(log, query, objects)
  }
  return {
    undo: () => {
      log.verifyObjects = verifyObjects
    },
    happened: () => happened,
  }
}

/** As every room of the broker changes a row: locked, with its entry, in one transaction. */
function honestly(
  db: Database,
  log: AuditLog,
  row: { kind: string; id: string },
  change: (tx: Query) => Promise<unknown>,
): Promise<void> {
  return db.tx(async (tx) => {
    await tx`SELECT 1 FROM ${tx(row.kind)} WHERE id = ${row.id} FOR UPDATE`
    const [before] = await rowStates(tx, [row])
    await change(tx)
    const [after] = await rowStates(tx, [row])
    await log.record(tx, {
      action: `${row.kind}.changed`,
      actor: { kind: 'system', id: 'test', name: null, organisation: null },
      object: row,
      before: before?.current,
      after: after?.current,
    })
  })
}

describe('decisions beside honest changes', () => {
  let plant: Plant
  let vera: Somebody
  let paul: Somebody
  let rita: Somebody
  let undo: () => void = () => undefined
  beforeAll(async () => {
    plant = await makePlant(cluster, 'C1')
    vera = await plant.person('Vera Ortiz', ['vendor'], { vendor: true })
    paul = await plant.person('Paul Weiss', ['approver'])
    rita = await plant.person('Rita Blau', ['approver'])
  })
  afterEach(() => undo())
  afterAll(() => plant?.close())

  let days = 0
  const veraTrained = () => {
    days += 1
    const row = { kind: 'person', id: vera.principal.personId }
    const until = new Date(TWO + 100 * 24 * HOUR + days * HOUR)
    return honestly(
      plant.deps.db,
      plant.log.log,
      row,
      (tx) => tx`UPDATE person SET training_valid_until = ${until} WHERE id = ${row.id}`,
    )
  }
  /** The same, and this process is told the new state by somebody else's question. */
  const veraTrainedAndSeen = async () => {
    await veraTrained()
    await plant.log.log.checkpoint()
    await plant.deps.db.tx(async (tx) => {
      const states = await rowStates(tx, [{ kind: 'person', id: vera.principal.personId }])
      await plant.log.log.verifyObjects(tx, states)
    }, 'repeatable read read only')
  }
  const during = async <T>(change: () => Promise<unknown>, work: () => Promise<T>): Promise<T> => {
    const hook = betweenRowAndEntry(plant.log.log, change)
    undo = hook.undo
    try {
      const result = await work()
      expect(hook.happened()).toBe(true)
      return result
    } finally {
      hook.undo()
    }
  }
  const submit = async (change = {}) =>
    (await plant.call(vera, 'POST /api/requests', { body: requestBody(plant, change) })).id
  const begin = async (who: Somebody, id: string, decision: 'granted' | 'declined' = 'granted') => {
    const [row] = await plant.deps.db.sql<{ hash: string }[]>`
      SELECT snapshot_hash AS hash FROM access_request WHERE id = ${id}`
    return plant.call(who, 'POST /api/requests/:id/decision/options', {
      params: { id },
      body: { decision, constraints: {}, snapshotHash: row?.hash ?? '', reason: null },
    })
  }
  const openAlarms = () => plant.deps.db.sql`SELECT kind, subject FROM alarm WHERE closed_at IS NULL`

  describe.each([
    ['a change that commits in between', veraTrained],
    ['a change that this process has heard of already', veraTrainedAndSeen],
  ])('%s', (_what, change) => {
    it('neither refuses nor alarms', async () => {
      const id = await during(change, () => submit())
      await during(change, () =>
        plant.call(vera, 'PUT /api/requests/:id', {
          params: { id },
          body: requestBody(plant, { purpose: 'Another purpose' }),
        }),
      )
      const begun = await during(change, () => begin(paul, id))
      const assertion = await paul.authenticator.get(begun.options as never)
      const approved = await during(change, () =>
        plant.call(paul, 'POST /api/requests/:id/decision', {
          params: { id },
          body: { challengeId: begun.challengeId, assertion },
        }),
      )
      expect(approved.approvals).toHaveLength(1)
      await during(change, () =>
        plant.call(paul, 'POST /api/approvals/:id/withdraw', {
          params: { id: approved.approvals[0]?.id ?? '' },
          body: { reason: 'Not today.' },
        }),
      )
      const declined = await during(change, () => decide(plant, rita, id, { decision: 'declined' }))
      expect(declined.state).toBe('declined')
      expect(plant.log.alarms).toEqual([])
      expect(await openAlarms()).toEqual([])
    })
  })

  it('two approvers at the same instant are both counted', async () => {
    for (let round = 0; round < 10; round += 1) {
      const id = await submit()
      const signed = [await sign(plant, paul, id), await sign(plant, rita, id)]
      await Promise.all(
        [paul, rita].map((who, index) =>
          plant.call(who, 'POST /api/requests/:id/decision', {
            params: { id },
            body: { challengeId: signed[index]?.challengeId ?? '', assertion: signed[index]?.assertion },
          }),
        ),
      )
      const [row] = await plant.deps.db.sql`SELECT state FROM access_request WHERE id = ${id}`
      expect(row?.state).toBe('approved')
    }
  })

  it('decisions go on under a stream of changes', async () => {
    const round = async () => {
      const id = await submit()
      await Promise.all([decide(plant, paul, id), decide(plant, rita, id)])
      expect((await plant.call(paul, 'GET /api/requests/:id', { params: { id } })).state).toBe('approved')
    }
    // What a round takes here undisturbed: on a slow machine the same pauses would be a loop without any.
    const began = performance.now()
    for (let n = 0; n < 3; n += 1) await round()
    const roundMs = (performance.now() - began) / 3
    let over = false
    let changes = 0
    const stream = (async () => {
      while (!over) {
        await (changes % 2 === 0 ? veraTrained() : veraTrainedAndSeen())
        changes += 1
        // As busy as an import of people, not a loop that leaves nobody any room.
        await pause(roundMs * (0.25 + Math.random() * 0.5))
      }
    })()
    try {
      for (let n = 0; n < 15; n += 1) await round()
    } finally {
      over = true
      await stream
    }
    expect(changes).toBeGreaterThan(10)
    expect(plant.log.alarms).toEqual([])
    expect(await openAlarms()).toEqual([])
  })

  it('an edit by hand is refused and raises the alarm all the same', async () => {
    const id = await submit()
    await plant.database.owner
      .sql`UPDATE person SET training_valid_until = training_valid_until + interval '1 year'
      WHERE id = ${vera.principal.personId}`
    await expect(begin(paul, id)).rejects.toMatchObject({ code: 'row-not-vouched' })
    expect(await openAlarms()).toMatchObject([{ subject: `person ${vera.principal.personId}` }])
  })
})

describe('whoever asks for a row beside its honest change', () => {
  let broker: TestBroker
  let undo: () => void = () => undefined
  beforeEach(async () => {
    broker = await testBroker(cluster)
  })
  afterEach(async () => {
    undo()
    await broker.close()
  })
  const during = async <T>(change: () => Promise<unknown>, work: () => Promise<T>): Promise<T> => {
    const hook = betweenRowAndEntry(broker.audit, change)
    undo = hook.undo
    const result = await work()
    hook.undo()
    expect(hook.happened()).toBe(true)
    return result
  }
  const change = (kind: string, id: string, how: (tx: Query) => Promise<unknown>) => () =>
    honestly(broker.database.db, broker.audit, { kind, id }, how)

  it('is signed in, set up and steps up', async () => {
    const ada = await broker.administrator()
    const { site } = await testPlant(ada)
    const me = (await ada.me()).person
    const renamed = change(
      'person',
      me.id,
      (tx) => tx`UPDATE person SET name = name || '.' WHERE id = ${me.id}`,
    )
    expect((await during(renamed, () => ada.ask('GET /api/me', {}))).status).toBe(200)

    // The company is read with the person, and nobody locks it.
    const company = await ada.call('POST /api/vendors', {
      body: { name: 'Acme', contractEndsAt: '2099-01-01T00:00:00.000Z', sponsorId: me.id, tier: '1' },
    })
    const made = await ada.call('POST /api/people', {
      body: {
        name: 'Vera',
        email: null,
        vendorId: company.id,
        accountEndsAt: null,
        trainingValidUntil: null,
        roles: [{ role: 'vendor', siteId: site.id }],
      },
    })
    const prolonged = change(
      'vendor',
      company.id,
      (tx) =>
        tx`UPDATE vendor SET contract_ends_at = contract_ends_at + interval '1 day' WHERE id = ${company.id}`,
    )
    const vera = broker.client()
    await vera.setUp(made.setUpLink)
    const asked = await during(prolonged, () => vera.ask('GET /api/me', {}))
    expect(asked.status).toBe(200)
    await during(prolonged, () => vera.signIn())
    expect(broker.alarms).toEqual([])
  })

  it('gets the target and the credential that hold', async () => {
    const ada = await broker.administrator()
    const { site, zone } = await testPlant(ada)
    const asset = await ada.call('POST /api/assets', { body: assetBody(site.id, zone.id) })
    const { endpoints } = await ada.call('POST /api/assets/:id/endpoints', {
      params: { id: asset.id },
      body: { protocol: 'ssh', port: 22 },
    })
    const endpointId = endpoints[0]?.id ?? ''
    const moved = change(
      'asset',
      asset.id,
      (tx) => tx`UPDATE asset SET owner = owner || '.' WHERE id = ${asset.id}`,
    )
    const gateway = await broker.database.db.sql<{ id: string }[]>`
      INSERT INTO gateway (id, site_id, zone_id, name, created_at)
      VALUES (gen_random_uuid(), ${site.id}, ${zone.id}, 'gw', now()) RETURNING id`
    await change(
      'asset',
      asset.id,
      (tx) => tx`UPDATE asset SET gateway_id = ${gateway[0]?.id ?? ''} WHERE id = ${asset.id}`,
    )()
    expect(await during(moved, () => broker.inventory.target(endpointId))).toMatchObject({
      address: { host: '10.20.30.41', port: 22 },
    })

    const set = (password: string) =>
      ada.call('PUT /api/endpoints/:id/accounts/:account/credential', {
        params: { id: endpointId, account: 'engineer' },
        body: { kind: 'password', password },
      })
    await set('first')
    await during(
      () => set('second'),
      () =>
        broker.database.db.tx(
          (tx) => broker.inventory.credential(tx, endpointId, 'engineer'),
          'repeatable read',
        ),
    )
    expect(broker.alarms).toEqual([])
  })
})
