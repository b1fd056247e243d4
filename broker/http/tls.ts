import { X509Certificate as NodeCertificate } from 'node:crypto'
import { mkdir, readFile, rename, writeFile } from 'node:fs/promises'
import type { Server, ServerOptions } from 'node:https'
import path from 'node:path'
import { createSecureContext } from 'node:tls'
import type { Clock, Timer } from '../domain/clock.ts'
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
/** A supplied certificate that is not replaced by then is told of. The site's own is renewed long before. */
const TELL_WHEN_LEFT = 14 * DAY
/** After a first failure, which may be a file that is half written just now; then after each further one. */
const AGAIN_SOON = 60_000
const AGAIN = 3_600_000

/** How the certificate in use stands. `trouble`: why somebody must look at it; null when all is well. */
export interface RenewalState {
  trouble: string | null
  /** Whole days until its end; 0 when it is over. */
  daysLeft: number
  endsAt: number
}
/** Told after each look at the certificate; asked again within the hour when it rejects. */
export type OnRenewal = (state: RenewalState) => Promise<void>

/**
 * The site's own CA in `folder`: made at the first start, with a server certificate for the public name that renews
 * itself 30 days before its end. A new public name gets a new CA, because the old one may not vouch for it.
 */
export async function siteCaTls(options: {
  folder: string
  origin: PublicOrigin
  clock: Clock
  onRenewal?: OnRenewal
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
  return runningTls(await current(), current, clock, options.onRenewal, {
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
  onRenewal?: OnRenewal
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
  return runningTls(await read(), read, options.clock, options.onRenewal, null)
}

function runningTls(
  first: PemPair,
  again: () => Promise<PemPair>,
  clock: Clock,
  onRenewal: OnRenewal | undefined,
  ca: ServerTls['ca'],
): ServerTls {
  let pair = first
  const servers = new Set<Server>()
  let failures = 0
  let closed = false
  let timer: Timer | null = null

  async function renew(): Promise<string | null> {
    try {
      const next = await again()
      failures = 0
      if (next.certificate !== pair.certificate) {
        pair = next
        for (const server of servers) server.setSecureContext({ cert: pair.certificate, key: pair.key })
      }
      return null
    } catch (error) {
      // The old one stays in use.
      failures += 1
      return error instanceof Error ? error.message : String(error)
    }
  }

  /** Milliseconds until the next look. */
  async function look(failure: string | null): Promise<number> {
    const endsAt = new NodeCertificate(pair.certificate).validToDate.getTime()
    const left = endsAt - clock.wall()
    const late = left < TELL_WHEN_LEFT ? 'no newer one is there' : null
    const trouble = failures === 1 ? late : (failure ?? late)
    const daysLeft = Math.max(0, Math.floor(left / DAY))
    try {
      await onRenewal?.({ trouble, daysLeft, endsAt })
    } catch {
      return AGAIN
    }
    return failures === 0 ? DAY : failures === 1 ? AGAIN_SOON : AGAIN
  }

  function arm(ms: number): void {
    if (closed) return
    timer = clock.after(ms, () => void renew().then(look).then(arm))
  }
  void look(null).then(arm)

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
    close: () => {
      closed = true
      timer?.cancel()
    },
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
