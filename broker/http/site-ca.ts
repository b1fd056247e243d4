import 'reflect-metadata'
import { randomBytes, webcrypto } from 'node:crypto'
import {
  AuthorityKeyIdentifierExtension,
  BasicConstraintsExtension,
  ExtendedKeyUsage,
  ExtendedKeyUsageExtension,
  Extension,
  KeyUsageFlags,
  KeyUsagesExtension,
  PemConverter,
  SubjectAlternativeNameExtension,
  SubjectKeyIdentifierExtension,
  X509Certificate,
  X509CertificateGenerator,
} from '@peculiar/x509'

const KEY = { name: 'ECDSA', namedCurve: 'P-256' } as const
const SIGN = { name: 'ECDSA', hash: 'SHA-256' } as const
const DAY = 86_400_000

export interface PemPair {
  certificate: string
  /** PKCS #8. */
  key: string
}

/**
 * A certificate authority for one deployment's web address. Its name constraints (RFC 5280 section 4.2.1.10) let it
 * vouch for `names` and their subdomains only and for no IP address, so a phone that trusts it trusts a thief of its
 * key with nothing else.
 */
export async function makeSiteCa(names: readonly string[], nowMs: number): Promise<PemPair> {
  const keys = await webcrypto.subtle.generateKey(KEY, true, ['sign', 'verify'])
  const certificate = await X509CertificateGenerator.createSelfSigned({
    serialNumber: serial(),
    // 64 characters at most (RFC 5280, ub-common-name).
    name: `CN=${`Sallyport site CA ${names[0] ?? ''}`.slice(0, 64)}`,
    notBefore: new Date(nowMs - DAY),
    notAfter: new Date(nowMs + 3650 * DAY),
    keys: keys as CryptoKeyPair,
    signingAlgorithm: SIGN,
    extensions: [
      new BasicConstraintsExtension(true, 0, true),
      new KeyUsagesExtension(KeyUsageFlags.keyCertSign | KeyUsageFlags.cRLSign, true),
      await SubjectKeyIdentifierExtension.create(keys.publicKey as CryptoKey),
      nameConstraints(names),
    ],
  })
  return { certificate: certificate.toString('pem'), key: await exportKey(keys.privateKey as CryptoKey) }
}

/** A server certificate of 90 days for `names`, by the authority. */
export async function issueServerCertificate(
  ca: PemPair,
  names: readonly string[],
  nowMs: number,
): Promise<PemPair> {
  const authority = new X509Certificate(ca.certificate)
  const [der] = PemConverter.decode(ca.key)
  if (!der) throw new Error('the site CA’s key file holds no PEM block')
  const signingKey = await webcrypto.subtle.importKey('pkcs8', der, KEY, false, ['sign'])
  const keys = await webcrypto.subtle.generateKey(KEY, true, ['sign', 'verify'])
  const certificate = await X509CertificateGenerator.create({
    serialNumber: serial(),
    subject: `CN=${(names[0] ?? 'sallyport').slice(0, 64)}`,
    issuer: authority.subject,
    notBefore: new Date(nowMs - DAY),
    notAfter: new Date(Math.min(nowMs + 90 * DAY, authority.notAfter.getTime())),
    publicKey: keys.publicKey as CryptoKey,
    signingKey: signingKey as CryptoKey,
    signingAlgorithm: SIGN,
    extensions: [
      new BasicConstraintsExtension(false, undefined, true),
      new KeyUsagesExtension(KeyUsageFlags.digitalSignature, true),
      new ExtendedKeyUsageExtension([ExtendedKeyUsage.serverAuth]),
      new SubjectAlternativeNameExtension(names.map((value) => ({ type: 'dns' as const, value }))),
      await AuthorityKeyIdentifierExtension.create(authority),
      await SubjectKeyIdentifierExtension.create(keys.publicKey as CryptoKey),
    ],
  })
  return { certificate: certificate.toString('pem'), key: await exportKey(keys.privateKey as CryptoKey) }
}

/** Whether the authority's name constraints permit exactly this name. */
export function vouchesFor(ca: PemPair, name: string): boolean {
  const raw = Buffer.from(new X509Certificate(ca.certificate).rawData)
  return raw.includes(der(0x30, der(0x82, Buffer.from(name, 'ascii'))))
}

async function exportKey(key: CryptoKey): Promise<string> {
  return PemConverter.encode(new Uint8Array(await webcrypto.subtle.exportKey('pkcs8', key)), 'PRIVATE KEY')
}

/** Positive, 127 random bits. */
function serial(): string {
  const bytes = randomBytes(16)
  bytes[0] = (bytes[0] ?? 0) & 0x7f || 1
  return bytes.toString('hex')
}

/** NameConstraints in DER: permitted dNSName subtrees, and every IPv4 and IPv6 address excluded. */
function nameConstraints(names: readonly string[]): Extension {
  const permitted = names.map((name) => der(0x30, der(0x82, Buffer.from(name, 'ascii'))))
  const excluded = [8, 32].map((length) => der(0x30, der(0x87, Buffer.alloc(length))))
  const value = der(
    0x30,
    Buffer.concat([der(0xa0, Buffer.concat(permitted)), der(0xa1, Buffer.concat(excluded))]),
  )
  return new Extension('2.5.29.30', true, new Uint8Array(value))
}

/** One DER element; lengths up to 65,535 (X.690 section 8.1.3). */
function der(tag: number, content: Buffer): Buffer {
  const { length } = content
  const head =
    length < 0x80
      ? [tag, length]
      : length < 0x100
        ? [tag, 0x81, length]
        : [tag, 0x82, length >> 8, length & 0xff]
  return Buffer.concat([Buffer.from(head), content])
}
