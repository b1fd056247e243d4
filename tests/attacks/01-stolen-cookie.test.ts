import { afterAll, beforeAll, describe, expect, it } from 'vitest'
import { type Plant, startPlant } from '../broker/plant.ts'
import { ageToken } from '../lab/age-sign-in.ts'
import { type LabSshd, opensshMissing, startOpenssh } from '../lab/openssh.ts'
import { until } from '../lab/until.ts'

/*
 * Threat 1: a cookie from a stolen laptop, older than its strong authentication. It takes no running session over. Red
 * without the check in Sessions.attach.
 */

const missing = opensshMissing()

describe.skipIf(missing !== null)(`a stolen cookie${missing ? ` (skipped: ${missing})` : ''}`, () => {
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

  it('is asked for a fresh proof; the sign-in that opened the session comes back without one', async () => {
    const asset = { name: 'Robot cell 4', port: sshd.port, account: sshd.user, password: sshd.password }
    const { endpointId } = await plant.asset(asset)
    const request = await plant.approved({ endpointId, account: sshd.user, ci: 'Robot cell 4' })
    const { sessionId: id } = await plant.open(request)
    const { vendor } = plant
    const attach = () => vendor.ask('POST /api/sessions/:id/attach', { params: { id }, body: {} })
    const old = async () => {
      const token = vendor.cookies.get('__Host-sallyport-sign-in') ?? ''
      await ageToken(plant, token, 10 * 60_000)
    }
    await old()
    expect((await attach()).status).toBe(200)

    vendor.cookies.clear()
    await vendor.signIn()
    expect((await attach()).status).toBe(200)
    await old()
    expect((await attach()).body).toMatchObject({ code: 'step-up-required' })
    await vendor.signIn()
    expect((await attach()).status).toBe(200)
  })
})
