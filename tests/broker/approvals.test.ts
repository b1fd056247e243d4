import { afterAll, beforeAll, describe, expect, it } from 'vitest'
import { permissionEvidence } from '../../approvals/evidence.ts'
import { api } from '../../broker/contract/api/index.ts'
import { approvalRecord } from '../../broker/contract/approval-record.ts'
import { hashOf, sha256 } from '../../broker/domain/canonical.ts'
import { newId } from '../../broker/domain/ids.ts'
import type { Feature } from '../../broker/domain/words.ts'
import { decideAccess } from '../../broker/policy/decide-access.ts'
import { until } from '../lab/until.ts'
import {
  decide,
  HOUR,
  makePlant,
  type Plant,
  RUNNING,
  requestBody,
  type Somebody,
  sign,
  TWO,
  ticket,
} from './approvals-support.ts'
import { startCluster, type TestCluster } from './database.ts'

let cluster: TestCluster
let plant: Plant
let vera: Somebody
let paul: Somebody
let rita: Somebody

beforeAll(async () => {
  cluster = await startCluster()
  plant = await makePlant(cluster)
  vera = await plant.person('Vera Ortiz', ['vendor'], { vendor: true, email: 'vera@acme.example' })
  paul = await plant.person('Paul Weiss', ['approver'])
  rita = await plant.person('Rita Blau', ['approver', 'operator'])
})
afterAll(async () => {
  await plant.close()
  await cluster.close()
})

const submit = async (change = {}) =>
  (await plant.call(vera, 'POST /api/requests', { body: requestBody(plant, change) })).id
const at = (id: string, purpose: 'open' | 'renew' = 'open', sessionId: string | null = null) =>
  plant.approvals.access.facts({
    requestId: id,
    personId: vera.principal.personId,
    purpose,
    sessionId,
    runtime: RUNNING,
  })
const decision = async (id: string, when = TWO) => decideAccess(await at(id), when)
const codes = async (id: string, when = TWO) => {
  const answer = await decision(id, when)
  return answer.permit ? [] : answer.reasons.map((reason) => reason.code)
}
const accept = (who: Somebody) =>
  plant.deps.db.sql`INSERT INTO notice_acceptance (person_id, site_id, version, accepted_at)
    VALUES (${who.principal.personId}, ${plant.site}, 1, now()) ON CONFLICT DO NOTHING`
const newSession = async (requestId: string, endsAt: number, endpoint = plant.endpoint) => {
  const id = newId()
  const { sql } = plant.deps.db
  await sql`INSERT INTO session (id, request_id, request_version, recording_id, grant_id, grant_serial, grant_jws, facts,
      gateway_id, site_id, asset_id, endpoint_id, person_id, vendor_id, protocol, account, view, searchable, ticket_key,
      state, permit_ends_at, opened_at)
    VALUES (${id}, ${requestId}, 1, ${newId()}, ${newId()}, 1, 'x', '{}', ${plant.gateway}, ${plant.site},
      ${plant.asset}, ${endpoint}, ${vera.principal.personId}, ${plant.vendor}, 'ssh', 'service', '{}', '', 'CHG001',
      'live', ${new Date(endsAt)}, now())`
  return id
}
const closeSession = (id: string) =>
  plant.deps.db
    .sql`UPDATE session SET state = 'closed', ended_at = now(), end_code = 'vendor-left' WHERE id = ${id}`

describe('a request', () => {
  it('says on the form what holds and what is missing', async () => {
    const empty = await plant.call(vera, 'POST /api/requests/preview', { body: {} })
    expect(empty.lines).toMatchObject([{ code: 'choose-asset', holds: false }])
    const partial = await plant.call(vera, 'POST /api/requests/preview', {
      body: { endpointId: plant.endpoint },
    })
    expect(partial.lines.filter((line) => !line.holds).map((line) => line.code)).toEqual([
      'choose-asset',
      'choose-ticket',
      'choose-window',
      'approvals-missing',
    ])
    const whole = await plant.call(vera, 'POST /api/requests/preview', { body: requestBody(plant) })
    expect(whole.permitted).toBe(false)
    expect(whole.lines.filter((line) => !line.holds)).toMatchObject([
      { code: 'approvals-missing', text: '0 of 1 approvals are there.', facts: { have: 0, need: 1 } },
    ])
    expect(whole.lines.filter((line) => line.holds).map((line) => line.code)).toContain('ticket')
  })

  it('is refused with everything that time cannot cure', async () => {
    await expect(submit({ ticket: { system: 'file', key: 'CHG404' } })).rejects.toMatchObject({
      code: 'request-not-possible',
      reasons: [{ code: 'ticket-unknown' }],
    })
    const late = { opensAt: new Date(TWO).toISOString(), closesAt: new Date(TWO + 9 * HOUR).toISOString() }
    await expect(submit({ window: late })).rejects.toMatchObject({
      reasons: [{ code: 'window-outside-ticket' }],
    })
    await expect(submit({ account: 'root' })).rejects.toMatchObject({ code: 'account-unknown' })
    await expect(submit({ endpointId: newId() })).rejects.toMatchObject({ status: 404 })
    await expect(plant.call(paul, 'POST /api/requests', { body: requestBody(plant) })).rejects.toMatchObject({
      status: 404,
    })
  })

  it('is seen by its requester and the site only, and not in the address of the asset', async () => {
    const id = await submit()
    const mine = await plant.call(vera, 'GET /api/requests/:id', { params: { id } })
    const theirs = await plant.call(paul, 'GET /api/requests/:id', { params: { id } })
    expect(mine).toMatchObject({ state: 'waiting', hazard: null, risks: [], zonePath: 'OT DMZ > Cell 4' })
    expect(theirs.hazard).toBe('The arm may move.')
    expect(JSON.stringify([mine, theirs])).not.toContain('10.4.1.7')
    const colleague = await plant.person('Ken Colleague', ['vendor'], { vendor: true })
    await expect(plant.call(colleague, 'GET /api/requests/:id', { params: { id } })).rejects.toMatchObject({
      status: 404,
    })
    const waiting = await plant.call(paul, 'GET /api/requests', { query: { view: 'decide', limit: 50 } })
    expect(waiting.items.map((item) => item.id)).toContain(id)
    const page = await plant.call(vera, 'GET /api/requests', { query: { view: 'mine', limit: 1 } })
    expect(page.items).toHaveLength(1)
  })
})

describe('an approval', () => {
  it('is a signature over exactly the stored document, and opens the window', async () => {
    await accept(vera)
    const id = await submit()
    const { challengeId, assertion, document, meaning } = await sign(plant, paul, id)
    expect(meaning).toBe(
      'I approve that Vera Ortiz (ACME Robotics) works on Robot cell 4 (C2, Plant Nord) over SSH as "service", Tue 24 Nov 2026, 02:00-06:00 (Europe/Berlin, UTC+01:00), under ticket CHG001. Purpose: Update the firmware. With copying from the screen.',
    )
    expect(await codes(id)).toEqual(['approvals-missing'])
    const view = await plant.call(paul, 'POST /api/requests/:id/decision', {
      params: { id },
      body: { challengeId, assertion },
    })
    expect(view).toMatchObject({
      state: 'approved',
      approvals: [{ by: { name: 'Paul Weiss' }, decision: 'granted' }],
    })
    expect(await decision(id)).toMatchObject({ permit: true, until: TWO + 4 * HOUR })
    const approved = await plant.approvals.access.approved(id)
    expect(approved).toMatchObject({
      snapshot: { account: 'service' },
      features: ['clipboard-copy'],
      viewOnly: false,
    })
    expect(approved.approvals).toHaveLength(1)
    const evidence = await permissionEvidence(plant.deps.db.sql, { id, version: 1 }, approved.approvals)
    expect(sha256(evidence?.asset ?? '').toString('hex')).toBe(approved.snapshot.asset.hash)
    expect(sha256(evidence?.ticket ?? '').toString('hex')).toBe(approved.snapshot.ticket.hash)
    expect(sha256(evidence?.policy ?? '').toString('hex')).toBe(hashOf((await at(id)).policy))
    const record = approvalRecord.parse(evidence?.approvals[0])
    expect(record.document).toEqual(document)
    expect(record.assertion).toMatchObject({ backupEligible: true, backupState: true })
    // The second POST of the same answer (threat 5).
    await expect(
      plant.call(paul, 'POST /api/requests/:id/decision', {
        params: { id },
        body: { challengeId, assertion },
      }),
    ).rejects.toMatchObject({ status: 409, code: 'already-used' })
  })

  it('is refused from a wrong origin, without user verification, for another challenge or relying party', async () => {
    const id = await submit()
    for (const bend of [
      { origin: 'https://plant.example.evil.test' },
      { userVerified: false },
      { challenge: Buffer.alloc(32, 1).toString('base64url') },
      { rpId: 'evil.test' },
      { type: 'webauthn.create' },
    ])
      await expect(decide(plant, paul, id, {}, bend)).rejects.toMatchObject({ status: 403 })
    expect(await codes(id)).toContain('approvals-missing')
  })

  it('is never given by the requester, a second account of theirs, or the vendor', async () => {
    const id = await submit()
    const both = await plant.person('Vera Local', ['approver'], { email: 'VERA@acme.example' })
    const boss = await plant.person('Max Boss', ['approver'], { vendor: true })
    for (const who of [both, boss])
      await expect(decide(plant, who, id)).rejects.toMatchObject({ status: 403, code: 'forbidden' })
    const veraToo: Somebody = {
      ...vera,
      principal: {
        ...vera.principal,
        roles: [...vera.principal.roles, { role: 'approver', siteId: plant.site }],
      },
    }
    await expect(decide(plant, veraToo, id)).rejects.toMatchObject({ status: 403 })
    const elsewhere = await plant.person('Eve Elsewhere', [])
    await expect(sign(plant, elsewhere, id)).rejects.toMatchObject({ status: 404 })
    const denied = await plant.deps.db.sql`SELECT 1 FROM audit.entry WHERE action = 'approval.refused'`
    expect(denied.length).toBeGreaterThanOrEqual(3)
  })

  it('needs a passkey that an administrator has confirmed', async () => {
    const id = await submit()
    const fresh = await plant.person('Nils Neu', ['approver'], { confirmed: false })
    await expect(decide(plant, fresh, id)).rejects.toMatchObject({ code: 'no-signing-passkey' })
    const { challengeId } = await sign(plant, paul, id)
    const foreign = await sign(plant, rita, id)
    await expect(
      plant.call(paul, 'POST /api/requests/:id/decision', {
        params: { id },
        body: { challengeId, assertion: foreign.assertion },
      }),
    ).rejects.toMatchObject({ status: 403 })
    await expect(
      plant.call(paul, 'POST /api/requests/:id/decision', {
        params: { id },
        body: { challengeId: foreign.challengeId, assertion: foreign.assertion },
      }),
    ).rejects.toMatchObject({ status: 404 })
  })

  it('is void after any edit, and cannot be finished over one', async () => {
    const id = await submit()
    await decide(plant, paul, id)
    expect((await decision(id)).permit).toBe(true)
    const begun = await sign(plant, rita, id).catch((error) => error)
    await plant.call(vera, 'PUT /api/requests/:id', {
      params: { id },
      body: requestBody(plant, { purpose: 'Something else' }),
    })
    expect(await codes(id)).toEqual(['approval-not-counted', 'approvals-missing'])
    await expect(
      plant.call(rita, 'POST /api/requests/:id/decision', { params: { id }, body: begun }),
    ).rejects.toMatchObject({ code: 'request-edited' })
    const old = await plant.call(rita, 'GET /api/requests/:id', { params: { id } })
    expect(old).toMatchObject({ version: 2, state: 'waiting', approvals: [] })
    await expect(sign(plant, rita, id, { snapshotHash: '0'.repeat(64) })).rejects.toMatchObject({
      code: 'request-edited',
    })
  })

  it('narrows, never widens', async () => {
    const id = await submit()
    const wider = { closesAt: new Date(TWO + 5 * HOUR).toISOString() }
    await expect(sign(plant, paul, id, { constraints: wider })).rejects.toMatchObject({
      code: 'constraint-widens',
    })
    await expect(
      sign(plant, paul, id, { constraints: { features: ['clipboard-paste'] } }),
    ).rejects.toMatchObject({
      code: 'constraint-widens',
    })
    const closesAt = new Date(TWO + HOUR).toISOString()
    await decide(plant, paul, id, { constraints: { closesAt, viewOnly: true, features: [] } })
    expect(await decision(id)).toMatchObject({
      permit: true,
      until: TWO + HOUR,
      obligations: { viewOnly: true, features: [] },
    })
    expect(await plant.approvals.access.approved(id)).toMatchObject({ viewOnly: true, features: [] })
  })

  it('for looking on takes typing away in what is signed, and what contradicts it is refused at its field', async () => {
    const features: Feature[] = ['clipboard-copy', 'clipboard-paste']
    const id = await submit({ features })
    for (const [constraints, code, path] of [
      [{ viewOnly: true, features }, 'view-only-pastes', 'constraints.features'],
      [{ viewOnly: true, inputDuringGrace: true }, 'view-only-types', 'constraints.inputDuringGrace'],
    ] as const)
      await expect(sign(plant, paul, id, { constraints: { ...constraints } as never })).rejects.toMatchObject(
        {
          status: 422,
          code,
          fields: [{ path }],
        },
      )
    const { challengeId, assertion, document } = await sign(plant, paul, id, {
      constraints: { viewOnly: true },
    })
    expect(document.constraints).toEqual({ viewOnly: true, features: ['clipboard-copy'] })
    expect(document.meaning).toContain('View only. With copying from the screen.')
    await plant.call(paul, 'POST /api/requests/:id/decision', {
      params: { id },
      body: { challengeId, assertion },
    })
    expect(await plant.approvals.access.approved(id)).toMatchObject({
      viewOnly: true,
      features: ['clipboard-copy'],
    })
    // A request itself always asks to type: there is no such field to contradict its features with.
    const body = { ...requestBody(plant), viewOnly: true }
    expect(api['POST /api/requests'].body.safeParse(body).success).toBe(false)
  })

  it('can be declined, which stands against other approvals, and withdrawn', async () => {
    const id = await submit()
    const view = await decide(plant, paul, id, { decision: 'declined', reason: 'Not tonight.' })
    expect(view).toMatchObject({ state: 'declined', approvals: [{ reason: 'Not tonight.' }] })
    await expect(decide(plant, rita, id)).rejects.toMatchObject({ code: 'request-declined' })
    const approval = view.approvals[0]?.id ?? ''
    await plant.call(paul, 'POST /api/approvals/:id/withdraw', {
      params: { id: approval },
      body: { reason: 'Changed my mind.' },
    })
    await decide(plant, paul, id)
    expect((await decision(id)).permit).toBe(true)
    const granted = (await plant.call(paul, 'GET /api/requests/:id', { params: { id } })).approvals.find(
      (each) => each.decision === 'granted',
    )
    const told: string[] = []
    plant.approvals.access.onChange((ids) => told.push(...ids))
    await plant.call(rita, 'POST /api/approvals/:id/withdraw', {
      params: { id: granted?.id },
      body: { reason: 'Alarm in the hall.' },
    })
    expect(await codes(id)).toEqual(['approval-not-counted', 'approvals-missing'])
    await until(() => told.includes(id), 'the change is announced')
  })

  it('is refused with its own code after the window, and when too long has passed since reading', async () => {
    const id = await submit()
    const begun = await sign(plant, paul, id)
    const finish = () => plant.call(paul, 'POST /api/requests/:id/decision', { params: { id }, body: begun })
    plant.log.clock.setWall(TWO + 6 * 60_000)
    await expect(finish()).rejects.toMatchObject({ code: 'challenge-expired' })
    plant.log.clock.setWall(TWO + 4 * HOUR)
    await expect(sign(plant, paul, id)).rejects.toMatchObject({ code: 'window-over' })
    expect((await plant.call(vera, 'GET /api/requests/:id', { params: { id } })).state).toBe('ended')
    plant.log.clock.setWall(TWO)
  })

  it('of a C1 asset takes two people; two at the same instant are both counted', async () => {
    const safety = await makePlant(cluster, 'C1')
    try {
      const vendor = await safety.person('Vera Ortiz', ['vendor'], { vendor: true })
      const one = await safety.person('Paul Weiss', ['approver'])
      const two = await safety.person('Rita Blau', ['approver'])
      const { id } = await safety.call(vendor, 'POST /api/requests', { body: requestBody(safety) })
      const signed = [await sign(safety, one, id), await sign(safety, two, id)]
      const again = await sign(safety, one, id)
      const answers = await Promise.allSettled([
        safety.call(one, 'POST /api/requests/:id/decision', { params: { id }, body: signed[0] }),
        safety.call(two, 'POST /api/requests/:id/decision', { params: { id }, body: signed[1] }),
        safety.call(one, 'POST /api/requests/:id/decision', { params: { id }, body: again }),
      ])
      expect(answers.map((answer) => answer.status).sort()).toEqual(['fulfilled', 'fulfilled', 'rejected'])
      const view = await safety.call(one, 'GET /api/requests/:id', { params: { id } })
      expect(view).toMatchObject({ state: 'approved', need: { count: 2 } })
      expect(view.approvals).toHaveLength(2)
      await expect(
        safety.call(
          await safety.person('Ada', ['administrator']),
          'PUT /api/approval-rules/:siteId/:criticality',
          {
            params: { siteId: safety.site, criticality: 'C1' },
            body: { count: 1, roles: ['approver'], reason: 'quicker' },
          },
        ),
      ).rejects.toMatchObject({ code: 'safety-needs-two' })
    } finally {
      await safety.close()
    }
  })
})

describe('rows edited in the database open nothing and raise an alarm', () => {
  const edits: [
    what: string,
    object: string,
    edit: (id: string) => Promise<unknown>,
    undo: (id: string) => Promise<unknown>,
  ][] = [
    [
      'a rule inserted',
      'approval-rule',
      () => plant.database.owner.sql`INSERT INTO approval_rule (id, site_id, criticality, need, roles)
        VALUES (${newId()}, ${plant.site}, 'C2', 1, '["auditor"]')`,
      () => plant.database.owner.sql`DELETE FROM approval_rule`,
    ],
    [
      'a conduit enabled',
      'conduit',
      () => plant.database.owner.sql`UPDATE conduit SET name = 'wider' WHERE id = ${plant.conduit}`,
      () => plant.database.owner.sql`UPDATE conduit SET name = 'DMZ to cell 4' WHERE id = ${plant.conduit}`,
    ],
    [
      'a pinned identity swapped',
      'endpoint-identity',
      () => plant.database.owner.sql`UPDATE endpoint_identity SET fingerprint = 'SHA256:evil'`,
      () => plant.database.owner.sql`UPDATE endpoint_identity SET fingerprint = 'SHA256:abc'`,
    ],
    [
      "a vendor's contract prolonged",
      'vendor',
      () =>
        plant.database.owner.sql`UPDATE vendor SET contract_ends_at = contract_ends_at + interval '1 year'`,
      () =>
        plant.database.owner.sql`UPDATE vendor SET contract_ends_at = contract_ends_at - interval '1 year'`,
    ],
    [
      'a ticket approved by hand',
      'change-ticket',
      () => plant.database.owner.sql`UPDATE change_ticket SET hash = ${'0'.repeat(64)}`,
      async () => undefined,
    ],
  ]
  it.each(edits)('%s', async (_what, object, edit, undo) => {
    const id = await submit()
    await decide(plant, paul, id)
    expect((await decision(id)).permit).toBe(true)
    await edit(id)
    const facts = await at(id)
    expect(facts.unvouched.map((row) => row.object)).toContain(object)
    expect(decideAccess(facts, TWO).permit).toBe(false)
    await expect(plant.approvals.access.approved(id)).rejects.toMatchObject({ name: 'IntegrityError' })
    await undo(id)
    if (object !== 'change-ticket') expect((await decision(id)).permit).toBe(true)
    expect(plant.log.alarms.length).toBeGreaterThan(0)
  })

  it('a withdrawn approval made valid again', async () => {
    await restoreTicket()
    const id = await submit()
    const view = await decide(plant, paul, id)
    await plant.call(paul, 'POST /api/approvals/:id/withdraw', {
      params: { id: view.approvals[0]?.id },
      body: { reason: 'Alarm in the hall.' },
    })
    await plant.database.owner
      .sql`UPDATE approval SET withdrawn_at = NULL, withdrawn_by = NULL WHERE request_id = ${id}`
    await plant.database.owner.sql`UPDATE access_request SET state = 'approved' WHERE id = ${id}`
    expect((await at(id)).unvouched.map((row) => row.object).sort()).toEqual(['access-request', 'approval'])
    expect(await codes(id)).toEqual(['row-not-vouched', 'row-not-vouched'])
  })

  it('an old version of the request put back, with its approvals', async () => {
    const id = await submit()
    await decide(plant, paul, id)
    const [old] = await plant.deps.db.sql<{ snapshot_hash: string }[]>`
      SELECT snapshot_hash FROM access_request WHERE id = ${id}`
    await plant.call(vera, 'PUT /api/requests/:id', {
      params: { id },
      body: requestBody(plant, { purpose: 'Less than before' }),
    })
    await plant.database.owner.sql`UPDATE access_request SET version = 1, state = 'approved',
      snapshot_hash = ${old?.snapshot_hash ?? ''} WHERE id = ${id}`
    expect(await codes(id)).toEqual(['row-not-vouched'])
  })

  it('a passkey confirmed by hand, an approver made by hand', async () => {
    const id = await submit()
    const own = await plant.person('Nora Neu', ['approver'], { confirmed: false })
    await plant.database.owner.sql`UPDATE passkey SET confirmed_at = now(), confirmed_by = person_id
      WHERE person_id = ${own.principal.personId}`
    await expect(decide(plant, own, id)).rejects.toMatchObject({ code: 'row-not-vouched' })
    const ghost = await plant.person('Gustav Ghost', ['auditor'])
    await plant.database.owner
      .sql`UPDATE role SET role = 'approver' WHERE person_id = ${ghost.principal.personId}`
    const asApprover: Somebody = {
      ...ghost,
      principal: { ...ghost.principal, roles: [{ role: 'approver', siteId: plant.site }] },
    }
    await expect(decide(plant, asApprover, id)).rejects.toMatchObject({ code: 'row-not-vouched' })
    expect(await codes(id)).toEqual(['approvals-missing'])
  })
})

/** After the test that edited it: the ticket as it was, from a new file. */
const restoreTicket = async () => {
  await plant.database.owner.sql`DELETE FROM change_ticket_version`
  await plant.database.owner.sql`DELETE FROM change_ticket`
  await deliver([ticket()], TWO / 1000 - 3000)
}

const deliver = async (tickets: Record<string, unknown>[], iat?: number) =>
  plant.call(await plant.person('Ada', ['administrator']), 'POST /api/ticket-files', {
    body: { siteId: plant.site, jws: await plant.ticketFile(tickets, iat) },
  })

describe('tickets', () => {
  it('a cancelled change ends what rests on it and is announced', async () => {
    const id = await submit()
    await decide(plant, paul, id)
    const told: string[] = []
    plant.approvals.access.onChange((ids) => told.push(...ids))
    await deliver([ticket({ state: 'cancelled' })], TWO / 1000 - 2000)
    await until(() => told.includes(id), 'the change is announced')
    expect(await codes(id)).toEqual(['ticket-not-approved'])
    // An old file does not revive it.
    await expect(deliver([ticket()], TWO / 1000 - 2500)).rejects.toMatchObject({
      code: 'ticket-file-older-than-known',
    })
    await deliver([ticket()], TWO / 1000 - 1000)
    expect((await decision(id)).permit).toBe(true)
  })

  it('serves for 24 hours; a running session goes on without', async () => {
    const id = await submit({
      window: { opensAt: new Date(TWO).toISOString(), closesAt: new Date(TWO + 5 * HOUR).toISOString() },
    })
    await decide(plant, paul, id)
    const facts = await at(id)
    const later = { ...facts, ticket: facts.ticket && { ...facts.ticket, fetchedAt: TWO - 25 * HOUR } }
    expect(decideAccess(later, TWO)).toMatchObject({ permit: false, reasons: [{ code: 'ticket-stale' }] })
    expect(decideAccess({ ...later, purpose: 'renew' }, TWO).permit).toBe(true)
  })

  it('an approver who begins after the ticket changed is shown the new version first', async () => {
    const id = await submit()
    await deliver([ticket({ title: 'Firmware and cables' })], TWO / 1000 - 900)
    await expect(sign(plant, paul, id)).rejects.toMatchObject({ code: 'request-changed' })
    const view = await decide(plant, paul, id)
    expect(view).toMatchObject({ version: 2, state: 'approved' })
    await deliver([ticket()], TWO / 1000 - 800)
  })

  it('files by an unknown key or for another site count for nothing', async () => {
    const jws = await plant.ticketFile([ticket()])
    const ada = await plant.person('Ada', ['administrator'])
    await plant.deps.db.sql`UPDATE ticket_key SET enabled = false`
    await expect(
      plant.call(ada, 'POST /api/ticket-files', { body: { siteId: plant.site, jws } }),
    ).rejects.toMatchObject({
      code: 'ticket-file-key-not-registered',
    })
    const refused = await submit().catch((error) => error)
    await plant.deps.db.sql`UPDATE ticket_key SET enabled = true`
    expect(refused.reasons.map((reason: { code: string }) => reason.code)).toContain('ticket-not-trusted')
    await expect(
      plant.call(ada, 'POST /api/ticket-files', { body: { siteId: newId(), jws } }),
    ).rejects.toMatchObject({ status: 403 })
  })
})

describe('an extension', () => {
  it('is asked for in the session, signed on its own, and never outlasts the ticket', async () => {
    const id = await submit()
    await decide(plant, paul, id)
    const session = await newSession(id, TWO + 4 * HOUR)
    const ask = (minutes: number) =>
      plant.call(vera, 'POST /api/sessions/:id/extension', {
        params: { id: session },
        body: { minutes, reason: 'The download takes longer.' },
      })
    const asked = await ask(60)
    expect(asked).toMatchObject({ state: 'waiting', newEnd: new Date(TWO + 5 * HOUR).toISOString() })
    await expect(ask(30)).rejects.toMatchObject({ code: 'extension-waiting' })
    expect(decideAccess(await at(id, 'renew', session), TWO)).toMatchObject({ until: TWO + 4 * HOUR })
    const waiting = await plant.call(paul, 'GET /api/extensions', {})
    expect(waiting.map((each) => each.id)).toContain(asked.id)
    const begun = await plant.call(paul, 'POST /api/extensions/:id/decision/options', {
      params: { id: asked.id },
      body: { decision: 'granted' },
    })
    expect(begun.meaning).toContain('I approve more time for Vera Ortiz (ACME Robotics) on Robot cell 4')
    const assertion = await paul.authenticator.get(begun.options as never)
    const granted = await plant.call(paul, 'POST /api/extensions/:id/decision', {
      params: { id: asked.id },
      body: { challengeId: begun.challengeId, assertion },
    })
    expect(granted.state).toBe('granted')
    expect(decideAccess(await at(id, 'renew', session), TWO)).toMatchObject({ until: TWO + 5 * HOUR })
    expect((await plant.approvals.access.approved(id)).approvals).toHaveLength(2)
    // Not for another session, and not beyond the ticket.
    expect(decideAccess(await at(id, 'renew', newId()), TWO)).toMatchObject({ until: TWO + 4 * HOUR })
    await plant.deps.db
      .sql`UPDATE session SET permit_ends_at = ${new Date(TWO + 6 * HOUR)} WHERE id = ${session}`
    await expect(ask(60)).rejects.toMatchObject({ code: 'ticket-ends' })
    await closeSession(session)
    await expect(ask(60)).rejects.toMatchObject({ code: 'session-over' })
  })

  it("cannot be asked for somebody else's session", async () => {
    const id = await submit()
    const session = await newSession(id, TWO + HOUR)
    const ken = await plant.person('Ken Other', ['vendor'], { vendor: true })
    await expect(
      plant.call(ken, 'POST /api/sessions/:id/extension', {
        params: { id: session },
        body: { minutes: 30, reason: 'x' },
      }),
    ).rejects.toMatchObject({ status: 404 })
    await closeSession(session)
  })
})

it('a rule that an administrator raised asks for approvals anew', async () => {
  const id = await submit()
  await decide(plant, paul, id)
  const ada = await plant.person('Ada', ['administrator'])
  const set = (count: number) =>
    plant.call(ada, 'PUT /api/approval-rules/:siteId/:criticality', {
      params: { siteId: plant.site, criticality: 'C2' },
      body: { count, roles: ['approver'], reason: 'audit finding 12' },
    })
  await set(2)
  expect(await codes(id)).toEqual(['request-changed', 'approvals-missing'])
  await plant.call(vera, 'PUT /api/requests/:id', { params: { id }, body: requestBody(plant) })
  expect((await decide(plant, paul, id)).state).toBe('waiting')
  expect((await decide(plant, rita, id)).state).toBe('approved')
  expect((await decision(id)).permit).toBe(true)
  const rules = await plant.call(ada, 'GET /api/approval-rules', {})
  expect(rules.map((rule) => [rule.criticality, rule.count])).toEqual([
    ['C1', 2],
    ['C2', 2],
    ['C3', 1],
    ['C4', 1],
  ])
  await set(1)
})

it('a decision on a running session takes milliseconds, not seconds', async () => {
  const id = await submit()
  await decide(plant, paul, id)
  const took: number[] = []
  for (let i = 0; i < 21; i++) {
    const started = performance.now()
    await at(id, 'renew')
    took.push(performance.now() - started)
  }
  // The median: whatever else this machine does for a moment says nothing about the decision.
  const each = took.sort((a, b) => a - b)[10] ?? Infinity
  console.log(`facts of one request: ${each.toFixed(1)} ms`)
  expect(each).toBeLessThan(250)
})

it('reading changes nothing', async () => {
  const id = await submit()
  const count = async () => {
    const [row] = await plant.deps.db.sql<{ n: number }[]>`
      SELECT (SELECT count(*) FROM audit.entry)::int + (SELECT count(*) FROM approval_challenge)::int
        + (SELECT sum(version) FROM access_request)::int AS n`
    return row?.n
  }
  const before = await count()
  for (const who of [vera, paul]) {
    await plant.call(who, 'GET /api/requests/:id', { params: { id } })
    await plant.call(who, 'GET /api/requests', { query: { view: 'all', limit: 50 } })
    await plant.call(who, 'GET /api/extensions', {})
  }
  await plant.call(vera, 'GET /api/my/endpoints', {})
  await plant.call(vera, 'GET /api/my/tickets', { query: { endpointId: plant.endpoint } })
  expect(await count()).toBe(before)
})
