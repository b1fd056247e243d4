import { readFileSync } from 'node:fs'
import tls, { type ConnectionOptions } from 'node:tls'
import { Failure } from '../domain/failure.ts'
import type { Secret } from '../domain/secret.ts'

/** Modes of libpq that ask for no TLS at all, or take none for an answer. */
const PLAIN = new Set(['disable', 'allow', 'prefer'])
const LOOPBACK = /^(localhost|127\.\d+\.\d+\.\d+|\[::1\])$/

/**
 * How an external PostgreSQL is reached: its URL without what is said there about TLS, and the driver's TLS options. The
 * driver itself verifies no certificate with `sslmode=require`, so whoever stands in between would read the owner's
 * password derivation, edit rows and drop the audit log's tail. Here TLS always verifies chain and name; to another
 * machine it is the default, and a URL that asks for less is refused. Throws Failure.
 */
export function externalDatabase(secret: Secret): { url: string; ssl: ConnectionOptions | false } {
  let url: URL
  try {
    url = new URL(secret.reveal())
  } catch {
    throw refused('It is no URL such as postgres://user:password@db.plant.example:5432/sallyport.')
  }
  const hosts = decodeURIComponent(url.hostname).split(',')
  if (hosts.includes('')) throw refused('It names no host.')
  const here = hosts.every((host) => LOOPBACK.test(host))
  const mode =
    url.searchParams.get('sslmode') ?? url.searchParams.get('ssl') ?? (here ? 'disable' : 'verify-full')
  const caFile = url.searchParams.get('sslrootcert')
  for (const name of ['sslmode', 'ssl', 'sslrootcert']) url.searchParams.delete(name)
  if (here && PLAIN.has(mode)) return { url: url.href, ssl: false }
  if (!here && mode !== 'verify-full')
    throw refused(
      `It asks for sslmode=${mode} to another machine, which does not prove that the server is the right one.`,
    )
  const [host] = hosts
  return {
    url: url.href,
    ssl: {
      rejectUnauthorized: true,
      ca: caFile === null || caFile === 'system' ? tls.getCACertificates('system') : readCa(caFile),
      // Node checks the certificate against this where the driver sends no server name: for an address.
      ...(hosts.length === 1 && host !== undefined ? { host } : {}),
    },
  }
}

/** What a certificate that was not accepted is called by Node; null for any other error. */
export function certificateRefused(error: unknown): Failure | null {
  const code = (error as { code?: unknown } | null)?.code
  if (typeof code !== 'string' || !CERTIFICATE.test(code)) return null
  return new Failure(
    502,
    'database-certificate-refused',
    `The certificate of the database server is not accepted: ${(error as Error).message} (${code}).`,
    'Give the CA that issued it (SALLYPORT_DATABASE_CA, or sslrootcert in the URL), and use the name that stands in it.',
  )
}

/** X509_V_ERR_* of OpenSSL as Node names them, and its own check of the name. */
const CERTIFICATE =
  /^(ERR_TLS_CERT_ALTNAME_INVALID|CERT_|SELF_SIGNED_CERT|DEPTH_ZERO_SELF_SIGNED|UNABLE_TO_(GET_ISSUER|VERIFY_LEAF))/

function readCa(file: string): string {
  let pem: string
  try {
    pem = readFileSync(file, 'utf8')
  } catch (error) {
    throw refused(
      `Its CA file ${file} cannot be read: ${(error as NodeJS.ErrnoException).code ?? 'unknown'}.`,
    )
  }
  // An empty list would be refused by nobody, and every server by it, with a reason that does not help.
  if (!pem.includes('-----BEGIN CERTIFICATE-----'))
    throw refused(`Its CA file ${file} holds no PEM certificate.`)
  return pem
}

function refused(why: string): Failure {
  return new Failure(
    400,
    'database-url',
    `DATABASE_URL is not used. ${why}`,
    'Leave sslmode out or say verify-full, and give the CA file if the system does not know the CA (docs/operations).',
  )
}
