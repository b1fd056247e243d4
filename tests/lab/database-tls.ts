import 'reflect-metadata'
import { chown, mkdir, writeFile } from 'node:fs/promises'
import path from 'node:path'
import {
  AuthorityKeyIdentifierExtension,
  BasicConstraintsExtension,
  ExtendedKeyUsage,
  ExtendedKeyUsageExtension,
  SubjectAlternativeNameExtension,
  SubjectKeyIdentifierExtension,
  X509CertificateGenerator,
} from '@peculiar/x509'

const KEYS = { name: 'ECDSA', namedCurve: 'P-256' }
const SIGN = { name: 'ECDSA', hash: 'SHA-256' }

/** A CA of its own and a server certificate for these names and addresses, as a plant's database administrator has them. */
export async function databaseTls(
  folder: string,
  names: readonly string[],
): Promise<{ caFile: string; settings: Record<string, string> }> {
  const ends = { notBefore: new Date(Date.now() - 86_400_000), notAfter: new Date(Date.now() + 86_400_000) }
  const authority = await crypto.subtle.generateKey(KEYS, true, ['sign', 'verify'])
  const ca = await X509CertificateGenerator.createSelfSigned({
    name: 'CN=Plant IT',
    ...ends,
    keys: authority,
    signingAlgorithm: SIGN,
    extensions: [
      new BasicConstraintsExtension(true, 0, true),
      await SubjectKeyIdentifierExtension.create(authority.publicKey),
    ],
  })
  const keys = await crypto.subtle.generateKey(KEYS, true, ['sign', 'verify'])
  const certificate = await X509CertificateGenerator.create({
    subject: `CN=${names[0]}`,
    issuer: ca.subject,
    ...ends,
    publicKey: keys.publicKey,
    signingKey: authority.privateKey,
    signingAlgorithm: SIGN,
    extensions: [
      new BasicConstraintsExtension(false, undefined, true),
      new ExtendedKeyUsageExtension([ExtendedKeyUsage.serverAuth]),
      new SubjectAlternativeNameExtension(
        names.map((value) => ({ type: /^[\d.]+$/.test(value) ? ('ip' as const) : ('dns' as const), value })),
      ),
      await AuthorityKeyIdentifierExtension.create(ca),
    ],
  })
  await mkdir(folder, { recursive: true, mode: 0o711 })
  const file = async (name: string, content: string) => {
    const at = path.join(folder, name)
    await writeFile(at, content, { mode: 0o600 })
    return at
  }
  const key = Buffer.from(await crypto.subtle.exportKey('pkcs8', keys.privateKey)).toString('base64')
  const certificateFile = await file('server.pem', certificate.toString('pem'))
  const keyFile = await file(
    'server.key',
    `-----BEGIN PRIVATE KEY-----\n${key.replaceAll(/.{64}/g, '$&\n').trimEnd()}\n-----END PRIVATE KEY-----\n`,
  )
  // PostgreSQL runs as this user when the tests are root, and takes no key of anybody else.
  if (process.getuid?.() === 0) for (const one of [certificateFile, keyFile]) await chown(one, 65534, 65534)
  return {
    caFile: await file('ca.pem', ca.toString('pem')),
    settings: { ssl: 'on', ssl_cert_file: certificateFile, ssl_key_file: keyFile },
  }
}
