import { afterAll, beforeAll, expect, test } from 'vitest'
import { ROLES, type Role } from '../../broker/domain/words.ts'
import { type EngineeringStation, startEngineeringStation } from '../demo/engineering-station.ts'
import type { ApiClient } from '../lab/api-client.ts'
import { type LabPlant, startPlant } from '../lab/plant.ts'
import { routeMatrix } from './route-matrix.ts'

let plant: LabPlant
let station: EngineeringStation

beforeAll(async () => {
  station = await startEngineeringStation({ user: 'engineer', password: 'station-password' })
  const generous = { burst: 100_000, perSecond: 1_000 }
  plant = await startPlant({
    broker: { limits: { address: generous, person: generous, signIn: generous, urgent: generous } },
  })
})
afterAll(async () => {
  await plant?.stop()
  await station?.stop()
})

test('the whole broker: every route x every caller without business there, on a real request and session', async () => {
  const { admin } = plant
  const { assetId, endpointId } = await plant.asset({
    name: 'Geheimpresse',
    criticality: 'C3',
    target: { port: station.port, user: 'engineer', password: 'station-password' },
  })
  await plant.ticket('CHG-GEHEIM', ['Geheimpresse'])
  const vendor = await plant.person('Vera Geheim', ['vendor'], true)
  const approver = await plant.person('Paul Geheim', ['approver'])
  const now = Date.now()
  const requestBody = {
    endpointId,
    account: 'engineer',
    features: [],
    purpose: 'Geheime Wartung der Presse',
    ticket: { system: 'file', key: 'CHG-GEHEIM' },
    window: {
      opensAt: new Date(now - 60_000).toISOString(),
      closesAt: new Date(now + 3_600_000).toISOString(),
    },
  }
  const request = await vendor.client.call('POST /api/requests', { body: requestBody })
  // A challenge that is open, and its right answer in strangers' hands.
  const begun = await approver.client.call('POST /api/requests/:id/decision/options', {
    params: { id: request.id },
    body: { decision: 'granted', constraints: {}, snapshotHash: request.snapshotHash, reason: null },
  })
  const assertion = await approver.client.passkey.get(begun.options as never)
  const decided = await approver.client.decide(request.id, 'granted')
  expect(decided.state).toBe('approved')
  const notice = await vendor.client.call('GET /api/requests/:id/notice', { params: { id: request.id } })
  const opening = await vendor.client.call('POST /api/requests/:id/session', {
    params: { id: request.id },
    body: { noticeVersion: notice.version },
  })
  const session = await vendor.client.call('GET /api/sessions/:id', { params: { id: opening.sessionId } })
  const [approval] = decided.approvals

  const site = await admin.call('POST /api/sites', {
    body: { name: 'Anderswo', timeZone: 'Europe/Berlin', notice: 'Recorded.' },
  })
  const elsewhereVendor = await admin.call('POST /api/vendors', {
    body: {
      name: 'Other vendor',
      contractEndsAt: '2030-01-01T00:00:00.000Z',
      sponsorId: plant.adminId,
      tier: '2',
    },
  })
  const join = async (role: Role) => {
    const made = await admin.call('POST /api/people', {
      body: {
        name: `${role} there`,
        email: null,
        vendorId: role === 'vendor' ? elsewhereVendor.id : null,
        accountEndsAt: null,
        trainingValidUntil: null,
        roles: [{ role, siteId: site.id }],
      },
    })
    const client = plant.client()
    await client.setUp(made.setUpLink)
    return { client, id: made.person.id }
  }
  const elsewhere = {} as Record<Role, ApiClient>
  for (const role of ROLES) elsewhere[role] = (await join(role)).client
  const roleless = await join('auditor')
  await admin.call('PATCH /api/people/:id', {
    params: { id: roleless.id },
    body: { roles: [], reason: 'moved' },
  })

  const ofRequest = { id: request.id }
  const ofSession = { id: opening.sessionId }
  const ofRecording = { id: session.recordingId }
  const cells = await routeMatrix({
    anonymous: plant.client(),
    roleless: roleless.client,
    elsewhere,
    secrets: [plant.siteId, 'eheim', assetId, endpointId, request.id, opening.sessionId, session.recordingId],
    params: {
      'GET /api/assets/:id': { id: assetId },
      'GET /api/requests/:id': ofRequest,
      'PUT /api/requests/:id': ofRequest,
      'POST /api/requests/:id/withdraw': ofRequest,
      'POST /api/requests/:id/decision/options': ofRequest,
      'POST /api/requests/:id/decision': ofRequest,
      'GET /api/requests/:id/notice': ofRequest,
      'POST /api/requests/:id/console/ask': ofRequest,
      'POST /api/requests/:id/console/ready': ofRequest,
      'POST /api/requests/:id/console/take-back': ofRequest,
      'POST /api/requests/:id/session': ofRequest,
      'POST /api/approvals/:id/withdraw': { id: approval?.id ?? '' },
      'GET /api/sessions/:id': ofSession,
      'POST /api/sessions/:id/attach': ofSession,
      'POST /api/sessions/:id/watch': ofSession,
      'POST /api/sessions/:id/hold': ofSession,
      'POST /api/sessions/:id/release': ofSession,
      'POST /api/sessions/:id/stop': ofSession,
      'POST /api/sessions/:id/stop-reason': ofSession,
      'POST /api/sessions/:id/closing-note': ofSession,
      'POST /api/sessions/:id/extension': ofSession,
      'GET /api/recordings/:id': ofRecording,
      'GET /api/recordings/:id/text': ofRecording,
      'GET /api/recordings/:id/screen/:segment': { ...ofRecording, segment: 0 },
      'POST /api/recordings/:id/verify': ofRecording,
      'POST /api/recordings/:id/package': ofRecording,
      'PUT /api/approval-rules/:siteId/:criticality': { siteId: plant.siteId, criticality: 'C1' },
    },
    bodies: {
      'POST /api/requests': requestBody,
      'PUT /api/requests/:id': requestBody,
      'POST /api/requests/:id/decision/options': {
        decision: 'granted',
        constraints: {},
        snapshotHash: request.snapshotHash,
        reason: null,
      },
      'POST /api/requests/:id/decision': { challengeId: begun.challengeId, assertion: { ...assertion } },
      'POST /api/requests/:id/session': { noticeVersion: notice.version },
      'POST /api/approvals/:id/withdraw': { reason: 'because' },
      'POST /api/sessions/:id/hold': { cause: 'because' },
      'POST /api/sessions/:id/stop-reason': { reason: 'because' },
      'POST /api/sessions/:id/closing-note': { text: 'nothing was changed' },
      'POST /api/sessions/:id/extension': { minutes: 30, reason: 'because' },
      'POST /api/tickets/lookup': { siteId: plant.siteId, system: 'file', key: 'CHG-GEHEIM' },
      'PUT /api/approval-rules/:siteId/:criticality': { count: 2, roles: ['approver'], reason: 'because' },
      'POST /api/ticket-files': { siteId: plant.siteId, jws: 'not.a.jws-of-anybody' },
      'POST /api/recordings/:id/package': {
        recipient: { kty: 'EC', crv: 'P-256', x: 'x', y: 'y' },
        recipientName: 'Somebody',
        purpose: 'because',
      },
    },
  })
  expect(cells.filter(({ wrong }) => wrong !== null)).toEqual([])
  // Nothing moved: the request is as it was, the session neither held nor ended by a stranger.
  const after = await vendor.client.call('GET /api/requests/:id', { params: ofRequest })
  expect([after.state, after.version, after.approvals.length]).toEqual(['approved', 1, 1])
  expect((await vendor.client.call('GET /api/sessions/:id', { params: ofSession })).by).toBeNull()
})
