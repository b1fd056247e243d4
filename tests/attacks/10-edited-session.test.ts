import { afterAll, beforeAll, describe, expect, it } from 'vitest'
import { GatewayEvents } from '../../broker/sessions/gateway-events.ts'
import { type Plant, startPlant } from '../broker/plant.ts'
import { type LabSshd, opensshMissing, startOpenssh } from '../lab/openssh.ts'
import { until } from '../lab/until.ts'

/*
 * Threat 10: the row of a running session, edited in the database. A renewal signs what it holds anew, so an edited grant
 * would become a real one. Red when `readGrant` in broker/sessions/tokens.ts skips `verify`, or `isOf` answers true.
 */

const missing = opensshMissing()

describe.skipIf(missing !== null)(`edited sessions${missing ? ` (skipped: ${missing})` : ''}`, () => {
  let plant: Plant
  let sshd: LabSshd
  let session: string
  beforeAll(async () => {
    sshd = await startOpenssh()
    plant = await startPlant()
    await until(() => plant.gateway.links().length === 1, 'the gateway is linked')
    const asset = { name: 'Robot cell 4', port: sshd.port, account: sshd.user, password: sshd.password }
    const { endpointId } = await plant.asset(asset)
    const request = await plant.approved({ endpointId, account: sshd.user, ci: 'Robot cell 4' })
    const opening = await plant.open(request)
    session = opening.sessionId
    const terminal = await plant.socket(opening, plant.vendor)
    terminal.start()
    await until(() => terminal.output.includes('$ '), 'a prompt')
  })
  afterAll(async () => {
    await plant?.close()
    await sshd?.stop()
  })

  const edited = (jws: string, change: object) => {
    const [head = '', payload = '', signature = ''] = jws.split('.')
    const grant = { ...JSON.parse(Buffer.from(payload, 'base64url').toString('utf8')), ...change }
    return [head, Buffer.from(JSON.stringify(grant)).toString('base64url'), signature].join('.')
  }
  const row = async () => {
    const [found] = await plant.broker.store.db.sql<{ jws: string; serial: number; account: string }[]>`
      SELECT grant_jws AS jws, grant_serial AS serial, account FROM session WHERE id = ${session}`
    if (!found) throw new Error('no row')
    return found
  }
  const alarm = async () =>
    plant.broker.store.db.sql`
      SELECT 1 FROM alarm WHERE subject = ${`session ${session}`} AND closed_at IS NULL`

  it('is neither renewed from, nor adopted, nor given a credential', async () => {
    const { sql } = plant.broker.store.db
    const { sessions, renewals } = plant.broker
    const { jws, serial, account } = await row()
    const live = sessions.live.get(session)
    const before = live?.grant
    const forged = edited(jws, { serial: serial + 1, idleSeconds: 0, exp: (before?.exp ?? 0) + 3600 })
    await sql`UPDATE session SET grant_jws = ${forged}, grant_serial = ${serial + 1} WHERE id = ${session}`
    await sessions.refresh()
    expect(sessions.live.get(session)?.grant).toBe(before)
    expect(await alarm()).toHaveLength(1)

    // A broker that has just started knows it from the row alone.
    if (live) sessions.live.drop(session)
    await sessions.adopt()
    expect(sessions.live.get(session)).toBeUndefined()
    expect(await sessions.find(session)).toBeNull()

    // The signed grant, but another account: its password would be another one.
    await sql`UPDATE session SET grant_jws = ${jws}, grant_serial = ${serial}, account = 'root',
      credential_fetched_at = NULL WHERE id = ${session}`
    expect(await sessions.find(session)).toBeNull()
    const [mine] = await sql<{ gateway: string; grant: string }[]>`
      SELECT gateway_id AS gateway, grant_id AS grant FROM session WHERE id = ${session}`
    const gateway = await plant.broker.gateways.directory.find(mine?.gateway ?? '')
    if (!gateway) throw new Error('no gateway')
    const hooks = new GatewayEvents(sessions, renewals)
    const asked = { type: 'credential' as const, id: 1, grant: mine?.grant ?? '', session }
    expect(await hooks.credential(gateway, asked)).toEqual({ refused: 'row-not-vouched' })

    await sql`UPDATE session SET account = ${account} WHERE id = ${session}`
    expect((await sessions.find(session))?.grant).toEqual(before)
  })
})
