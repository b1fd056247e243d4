import { join } from 'node:path'
import { createSecureContext, createServer, type TLSSocket, connect as tlsConnect } from 'node:tls'
import { openKeys } from '../../broker/keys/keys.ts'
import { LINK_NAME, serverCredentials } from '../../broker/link/link-authority.ts'
import { loadIdentity } from '../../gateway/identity/identity.ts'

/** One connection that the gateway dialled, in the clear as the gateway sees it. */
export interface Tapped {
  /** The gateway's first request line, e.g. `GET /link/v1/splice/<id> HTTP/1.1`. */
  dialled(): string
  /** All that reached the gateway. */
  received(): Buffer
}

export interface LinkTap {
  url: string
  connections: Tapped[]
  close(): Promise<void>
}

/**
 * Stands between a gateway and its broker with the keys of both, as somebody does who has taken the gateway over and
 * reads everything on its side of the link. Both legs are the real TLS; nothing is changed.
 *
 * `plant` is asked at the first connection: the folder with the data of broker and gateway, the broker's link port.
 */
export async function tapLink(plant: () => { dataDir: string; linkPort: number } | null): Promise<LinkTap> {
  const connections: Tapped[] = []
  const sockets = new Set<TLSSocket>()
  const credentials = onceLoaded(plant)
  const server = createServer(
    {
      SNICallback: (_name, done) => {
        credentials().then(
          ({ context }) => done(null, context),
          (error: Error) => done(error),
        )
      },
      minVersion: 'TLSv1.3',
    },
    (gateway) => {
      gateway.on('error', () => gateway.destroy())
      sockets.add(gateway)
      gateway.pause()
      void credentials().then(({ client, linkPort }) => {
        const broker = tlsConnect({
          host: '127.0.0.1',
          port: linkPort,
          servername: LINK_NAME,
          key: client.key,
          cert: client.certificate,
          ca: client.ca,
          minVersion: 'TLSv1.3',
        })
        sockets.add(broker)
        const seen: Buffer[] = []
        let first = ''
        connections.push({ dialled: () => first.split('\r\n')[0] ?? '', received: () => Buffer.concat(seen) })
        gateway.on('data', (bytes: Buffer) => {
          if (!first.includes('\r\n')) first += bytes.toString('latin1')
        })
        broker.on('data', (bytes: Buffer) => seen.push(bytes))
        broker.on('error', () => gateway.destroy())
        broker.on('close', () => gateway.destroy())
        gateway.on('close', () => broker.destroy())
        gateway.pipe(broker)
        broker.pipe(gateway)
      })
    },
  )
  await new Promise<void>((resolve) => server.listen(0, '127.0.0.1', resolve))
  const address = server.address()
  if (address === null || typeof address === 'string') throw new Error('the tap has no port')
  return {
    url: `https://127.0.0.1:${address.port}`,
    connections,
    async close() {
      for (const socket of sockets) socket.destroy()
      await new Promise((done) => server.close(done))
    },
  }
}

/** The keys of both sides, read once they are there. */
function onceLoaded(plant: () => { dataDir: string; linkPort: number } | null) {
  const load = async () => {
    const place = plant()
    if (!place) throw new Error('the plant is not there yet')
    const keys = await openKeys(join(place.dataDir, 'broker'), Date.now())
    const own = await serverCredentials(keys.linkCa, Date.now())
    const { tls } = await loadIdentity(join(place.dataDir, 'gateway'))
    return {
      linkPort: place.linkPort,
      context: createSecureContext({ cert: own.certificate, key: own.key.reveal() }),
      client: { key: tls.key.reveal(), certificate: tls.certificate, ca: tls.ca },
    }
  }
  let loaded: ReturnType<typeof load> | null = null
  return () => {
    loaded ??= load()
    return loaded
  }
}
