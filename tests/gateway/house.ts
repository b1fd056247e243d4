import { mkdtemp, rm } from 'node:fs/promises'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import type { Grant } from '../../broker/domain/grant.ts'
import { enrol } from '../../gateway/enrol.ts'
import { type GatewayConfig, type RunningGateway, startGateway } from '../../gateway/gateway.ts'
import type { LabSshd } from '../lab/openssh.ts'
import { until } from '../lab/until.ts'
import { TestBroker, type TestBrowser } from './test-broker.ts'

export interface House {
  broker: TestBroker
  gateway: RunningGateway
  dataDir: string
  /** Stops the gateway and starts it again on the same data. */
  restart(): Promise<void>
  stop(): Promise<void>
}

/** A test broker with one enrolled, linked gateway. */
export async function startHouse(config: Partial<GatewayConfig> = {}): Promise<House> {
  const broker = await TestBroker.start()
  const dataDir = await mkdtemp(join(tmpdir(), 'sallyport-gateway-'))
  await enrol({ token: broker.token, broker: broker.url, dataDir, name: 'gw-test' })
  const start = async () => {
    const gateway = await startGateway({
      dataDir,
      workers: 2,
      reserveBytes: 1024 * 1024,
      ...config,
      ...(process.env.GATEWAY_TEST_LOG
        ? { log: console as unknown as NonNullable<GatewayConfig['log']> }
        : {}),
    })
    await until(() => broker.control !== null && gateway.links().length === 1, 'link')
    return gateway
  }
  const house: House = {
    broker,
    dataDir,
    gateway: await start(),
    async restart() {
      await house.gateway.stop()
      house.gateway = await start()
    },
    async stop() {
      await house.gateway.stop()
      await broker.stop()
      await rm(dataDir, { recursive: true, force: true })
    },
  }
  return house
}

/** An open session with the vendor's browser at its prompt. */
export async function openSession(
  house: House,
  lab: LabSshd,
  change: Partial<Grant> = {},
): Promise<{ grant: Grant; browser: TestBrowser }> {
  const { broker } = house
  const grant = broker.grant(lab, change)
  await broker.passwordOf(lab)
  const opened = await broker.open(grant)
  if (opened?.code !== null) throw new Error(`not opened: ${JSON.stringify(opened)}`)
  const browser = await broker.browser(grant, 'open')
  browser.start()
  await browser.state('live')
  return { grant, browser }
}
