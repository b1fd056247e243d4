import { createPrivateKey } from 'node:crypto'
import { join } from 'node:path'
import type { Grant } from '../../../broker/domain/grant.ts'
import { newId } from '../../../broker/domain/ids.ts'
import { Shipper } from '../../../gateway/evidence/shipper.ts'
import { Uploader } from '../../../gateway/evidence/upload.ts'
import { loadIdentity } from '../../../gateway/identity/identity.ts'
import { jwsHash } from '../../../recordings/format/jws.ts'
import { until } from '../../lab/until.ts'
import { type Ground, openSession } from '../plant/ground.ts'
import { sessionSocket } from '../plant/session-socket.ts'
import { type RecordedDay, recordDay } from './record-day.ts'

/**
 * An eight-hour recording that the broker holds as it holds any other. A session is opened for it, for its grant and its
 * place in the audit log; what the gateway would have recorded of it in eight hours is recorded here with the gateway's own
 * key and delivered by its shipper.
 */
export async function deliverDay(
  ground: Ground,
  hours: number,
): Promise<RecordedDay & { recording: string }> {
  const { plant } = ground
  const session = await openSession(ground, 0)
  const socket = sessionSocket(session)
  const isLive = new Promise<void>((live, fail) => {
    socket.on('error', fail)
    socket.on('message', (data: Buffer, isBinary: boolean) => {
      if (!isBinary && data.includes('"live"')) live()
    })
  })
  socket.once('open', () => socket.send(JSON.stringify({ type: 'start' })))
  await isLive
  const { sql } = plant.broker.store.db
  const [row] = await sql<{ jws: string }[]>`
    SELECT grant_jws AS jws FROM session WHERE id = ${session.sessionId}`
  const jws = row?.jws ?? ''
  const grant = payloadOf(jws)
  const gatewayDir = join(plant.dataDir, 'gateway')
  const identity = await loadIdentity(gatewayDir)
  const sign = identity.sign.reveal()
  const spool = join(plant.dataDir, 'bench-spool')
  const day = await recordDay(
    {
      grant,
      grantHash: jwsHash(jws),
      ticketHash: null,
      gateway: {
        id: identity.gateway,
        version: '0.0.0',
        bootId: newId(),
        signing: { kid: sign.kid, key: createPrivateKey({ key: sign, format: 'jwk' }) },
      },
      target: { kind: 'none' },
      spool,
      clockState: { source: 'system', offsetMs: null },
    },
    hours,
  )
  const uploader = new Uploader(identity, () => false)
  let problem: string | null = null
  const shipper = new Shipper({
    spool,
    receipts: join(plant.dataDir, 'bench-receipts'),
    broker: () => identity.brokers[0] ?? null,
    brokerKeys: () => identity.brokerKeys,
    uploader,
    problem: (_recording, what) => {
      problem = what
    },
  })
  await shipper.tidy()
  shipper.ship(grant.recording)
  await until(
    () => {
      if (problem !== null) throw new Error(`the recording was not taken: ${problem}`)
      return shipper.waiting === 0
    },
    'the recording is delivered',
    300_000,
  )
  await shipper.stop()
  uploader.close()
  socket.terminate()
  return { ...day, recording: grant.recording }
}

function payloadOf(jws: string): Grant {
  return JSON.parse(Buffer.from(jws.split('.')[1] ?? '', 'base64url').toString('utf8')) as Grant
}
