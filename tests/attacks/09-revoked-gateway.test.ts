import { afterAll, beforeAll, describe, expect, it } from 'vitest'
import { type Plant, startPlant } from '../broker/plant.ts'
import { type LabSshd, opensshMissing, startOpenssh } from '../lab/openssh.ts'
import { until } from '../lab/until.ts'

/*
 * Threat 9: a gateway is revoked because somebody else may hold it. Red without `directory.onChanged` in
 * broker/broker.ts: the splice is a connection of its own and would outlive the gateway's control connection.
 */

const missing = opensshMissing()

describe.skipIf(missing !== null)(`a revoked gateway${missing ? ` (skipped: ${missing})` : ''}`, () => {
  let plant: Plant
  let sshd: LabSshd
  beforeAll(async () => {
    sshd = await startOpenssh()
    plant = await startPlant()
    await until(() => plant.gateway.links().length === 1, 'the gateway is linked')
  })
  afterAll(async () => {
    await plant?.close()
    await sshd?.stop()
  })

  it('has no browser any more', async () => {
    const asset = { name: 'Robot cell 4', port: sshd.port, account: sshd.user, password: sshd.password }
    const { endpointId } = await plant.asset(asset)
    const request = await plant.approved({ endpointId, account: sshd.user, ci: 'Robot cell 4' })
    const terminal = await plant.socket(await plant.open(request), plant.vendor)
    terminal.start()
    await until(() => terminal.output.includes('$ '), 'a prompt')
    const since = performance.now()
    await plant.admin.call('POST /api/gateways/:id/revoke', {
      params: { id: plant.gateway.id },
      body: { reason: 'Stolen' },
    })
    await until(() => terminal.closed !== null, 'the socket is closed')
    expect(performance.now() - since).toBeLessThan(5_000)
    expect(plant.gateway.links()).toEqual([])
  })
})
