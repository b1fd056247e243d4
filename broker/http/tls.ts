import { X509Certificate as NodeCertificate } from 'node:crypto'
import { mkdir, readFile, rename, writeFile } from 'node:fs/promises'
import type { Server, ServerOptions } from 'node:https'
import path from 'node:path'
import { createSecureContext } from 'node:tls'
import type { Clock } from '../domain/clock.ts'
import { Failure } from '../domain/failure.ts'
import type { PublicOrigin } from './origin.ts'
import { issueServerCertificate, makeSiteCa, type PemPair, vouchesFor } from './site-ca.ts'

/** The web server's certificate, replaced while it runs when it is renewed. */
export interface ServerTls {
  serverOptions(): ServerOptions
  /** Gives renewed certificates to a server that is listening. */
  attach(server: Server): void
  /** The site's own CA, for /trust; null with a supplied certificate. */
  readonly ca: { certificate: string; fingerprint: string } | null
  close(): void
}

const DAY = 86_400_000
const RENEW_WHEN_LEFT = 30 * DAY

/**
 * The site's own CA in `folder`: made at the first start, with a server certificate for the public name that renews
 * itself 30 days before its end. A new public name gets a new CA, because the old one may not vouch for it.
 */
export async function siteCaTls(options: {
  folder: string
  origin: PublicOrigin
  clock: Clock
}): Promise<ServerTls> {
  const { folder, origin, clock } = options
  const names = [origin.rpId]
  await mkdir(folder, { recursive: true, mode: 0o700 })
  let ca = await readPair(folder, 'ca')
  if (!ca || !vouchesFor(ca, origin.rpId)) {
    ca = await makeSiteCa(names, clock.wall())
    await writePair(folder, 'ca', ca)
  }
  const authority = ca
  const current = async (): Promise<PemPair> => {
    const found = await readPair(folder, 'server')
    if (found && usable(found, authority, origin.rpId, clock.wall())) return found
    const made = await issueServerCertificate(authority, names, clock.wall())
    await writePair(folder, 'server', made)
    return made
  }
  return runningTls(await current(), current, clock, {
    certificate: authority.certificate,
    fingerprint: new NodeCertificate(authority.certificate).fingerprint256,
  })
}

/** A certificate that the administrator supplies (PEM files, chain included). Read again daily, for renewals. */
export async function suppliedTls(options: {
  certificateFile: string
  keyFile: string
  origin: PublicOrigin
  clock: Clock
}): Promise<ServerTls> {
  const read = async (): Promise<PemPair> => {
    const pair = {
      certificate: await readFile(options.certificateFile, 'utf8'),
      key: await readFile(options.keyFile, 'utf8'),
    }
    const certificate = new NodeCertificate(pair.certificate)
    if (certificate.checkHost(options.origin.rpId) === undefined) {
      throw new Failure(
        400,
        'certificate-name',
        `The certificate in ${options.certificateFile} is not for ${options.origin.rpId}.`,
        'Supply a certificate whose subject alternative names hold the public name.',
      )
    }
    if (certificate.validToDate.getTime() <= options.clock.wall()) {
      throw new Failure(
        400,
        'certificate-expired',
        `The certificate in ${options.certificateFile} has expired.`,
        'Supply a renewed one.',
      )
    }
    // Throws when key and certificate don't belong together.
    createSecureContext({ cert: pair.certificate, key: pair.key })
    return pair
  }
  return runningTls(await read(), read, options.clock, null)
}

function runningTls(
  first: PemPair,
  again: () => Promise<PemPair>,
  clock: Clock,
  ca: ServerTls['ca'],
): ServerTls {
  let pair = first
  const servers = new Set<Server>()
  const tick = () =>
    clock.after(DAY, () => {
      again()
        .then((next) => {
          if (next.certificate === pair.certificate) return
          pair = next
          for (const server of servers) server.setSecureContext({ cert: pair.certificate, key: pair.key })
        })
        // The old one stays in use; a supplied file may be half written just now.
        .catch(() => undefined)
        .finally(() => {
          timer = tick()
        })
    })
  let timer = tick()
  return {
    ca,
    serverOptions: () => ({
      cert: pair.certificate,
      key: pair.key,
      minVersion: 'TLSv1.2',
      handshakeTimeout: 10_000,
      headersTimeout: 10_000,
    }),
    attach: (server) => {
      servers.add(server)
      server.once('close', () => servers.delete(server))
    },
    close: () => timer.cancel(),
  }
}

function usable(pair: PemPair, ca: PemPair, name: string, now: number): boolean {
  const certificate = new NodeCertificate(pair.certificate)
  return (
    certificate.checkIssued(new NodeCertificate(ca.certificate)) &&
    certificate.verify(new NodeCertificate(ca.certificate).publicKey) &&
    certificate.checkHost(name) !== undefined &&
    certificate.validFromDate.getTime() <= now &&
    certificate.validToDate.getTime() - now > RENEW_WHEN_LEFT
  )
}

async function readPair(folder: string, name: string): Promise<PemPair | null> {
  try {
    return {
      certificate: await readFile(path.join(folder, `${name}.crt`), 'utf8'),
      key: await readFile(path.join(folder, `${name}.key`), 'utf8'),
    }
  } catch (error) {
    if ((error as NodeJS.ErrnoException).code === 'ENOENT') return null
    throw error
  }
}

/** Key first: a certificate without its key would be used, a key without certificate is made again. */
async function writePair(folder: string, name: string, pair: PemPair): Promise<void> {
  await replace(path.join(folder, `${name}.key`), pair.key, 0o600)
  await replace(path.join(folder, `${name}.crt`), pair.certificate, 0o644)
}

async function replace(file: string, text: string, mode: number): Promise<void> {
  const half = `${file}.new`
  await writeFile(half, text, { mode, flush: true })
  await rename(half, file)
}
