import 'reflect-metadata'
import { createPublicKey, randomBytes, X509Certificate } from 'node:crypto'
import {
  BasicConstraintsExtension,
  X509Certificate as Certificate,
  ExtendedKeyUsage,
  ExtendedKeyUsageExtension,
  KeyUsageFlags,
  KeyUsagesExtension,
  Pkcs10CertificateRequest,
  type PublicKey,
  SubjectAlternativeNameExtension,
  X509CertificateGenerator,
} from '@peculiar/x509'
import { Secret } from '../domain/secret.ts'

/** The certificate authority of the link port: it signs the broker's own certificate there and every gateway's. */
export interface LinkCa {
  /** PEM. */
  certificate: string
  /** PKCS#8, PEM. */
  key: Secret
}

/** The name that gateways expect on the link port, wherever it is reached. */
export const LINK_NAME = 'link.sallyport.internal'

const DAY_MS = 86_400_000
const CA_DAYS = 3650
const SERVER_DAYS = 30
/** A gateway enrols again before its certificate ends; the broker tells the days left on the gateways page. */
export const CLIENT_DAYS = 365

const ALGORITHM = { name: 'ECDSA', namedCurve: 'P-256', hash: 'SHA-256' }

/** Makes a new link CA (P-256, ten years). Only at the first start: gateways trust brokers by it. */
export async function createLinkCa(deployment: string, nowMs: number): Promise<LinkCa> {
  const keys = await crypto.subtle.generateKey(ALGORITHM, true, ['sign', 'verify'])
  const certificate = await X509CertificateGenerator.createSelfSigned({
    serialNumber: serial(),
    name: [{ CN: ['Sallyport link CA'] }, { O: [deployment] }],
    ...validity(nowMs, CA_DAYS),
    signingAlgorithm: ALGORITHM,
    keys,
    extensions: [
      new BasicConstraintsExtension(true, 0, true),
      new KeyUsagesExtension(KeyUsageFlags.keyCertSign | KeyUsageFlags.cRLSign, true),
    ],
  })
  return { certificate: certificate.toString('pem'), key: await exportKey(keys.privateKey) }
}

/** SHA-256 over the CA certificate's DER: what an enrolment token pins. */
export function caFingerprint(certificate: string): Buffer {
  return Buffer.from(new X509Certificate(certificate).fingerprint256.replaceAll(':', ''), 'hex')
}

/** A fresh key and certificate for the link port; made at every start and never stored. */
export async function serverCredentials(
  ca: LinkCa,
  nowMs: number,
): Promise<{ certificate: string; key: Secret }> {
  const keys = await crypto.subtle.generateKey(ALGORITHM, true, ['sign', 'verify'])
  const issuer = new Certificate(ca.certificate)
  const certificate = await X509CertificateGenerator.create({
    serialNumber: serial(),
    subject: [{ CN: [LINK_NAME] }],
    issuer: issuer.subject,
    ...validity(nowMs, SERVER_DAYS),
    signingAlgorithm: ALGORITHM,
    publicKey: keys.publicKey,
    signingKey: await importKey(ca),
    extensions: [
      new BasicConstraintsExtension(false, undefined, true),
      new KeyUsagesExtension(KeyUsageFlags.digitalSignature, true),
      new ExtendedKeyUsageExtension([ExtendedKeyUsage.serverAuth]),
      new SubjectAlternativeNameExtension([{ type: 'dns', value: LINK_NAME }]),
    ],
  })
  return {
    certificate: `${certificate.toString('pem')}\n${ca.certificate}`,
    key: await exportKey(keys.privateKey),
  }
}

/**
 * A client certificate for the CSR's key, naming the gateway (subject CN and a URI in the SAN). Nothing but the key
 * is taken from the CSR. Null when it is not a P-256 request that verifies.
 */
export async function signGateway(
  ca: LinkCa,
  csrPem: string,
  gatewayId: string,
  nowMs: number,
): Promise<{ certificate: string; fingerprint: string; endsAt: number } | null> {
  let publicKey: PublicKey
  try {
    const csr = new Pkcs10CertificateRequest(csrPem)
    const key = createPublicKey({ key: Buffer.from(csr.publicKey.rawData), format: 'der', type: 'spki' })
    if (key.asymmetricKeyDetails?.namedCurve !== 'prime256v1' || !(await csr.verify())) return null
    publicKey = csr.publicKey
  } catch {
    return null
  }
  const issuer = new Certificate(ca.certificate)
  const times = validity(nowMs, CLIENT_DAYS)
  const certificate = await X509CertificateGenerator.create({
    serialNumber: serial(),
    subject: [{ CN: [gatewayId] }],
    issuer: issuer.subject,
    ...times,
    signingAlgorithm: ALGORITHM,
    publicKey,
    signingKey: await importKey(ca),
    extensions: [
      new BasicConstraintsExtension(false, undefined, true),
      new KeyUsagesExtension(KeyUsageFlags.digitalSignature, true),
      new ExtendedKeyUsageExtension([ExtendedKeyUsage.clientAuth]),
      new SubjectAlternativeNameExtension([{ type: 'url', value: `urn:uuid:${gatewayId}` }]),
    ],
  })
  const pem = certificate.toString('pem')
  return {
    certificate: pem,
    fingerprint: caFingerprint(pem).toString('hex'),
    endsAt: times.notAfter.getTime(),
  }
}

/** Backdated by a day: a plant's clocks differ, and the link's own clock check is the strict one. */
function validity(nowMs: number, days: number): { notBefore: Date; notAfter: Date } {
  return { notBefore: new Date(nowMs - DAY_MS), notAfter: new Date(nowMs + days * DAY_MS) }
}

function serial(): string {
  const bytes = randomBytes(16)
  // Positive and non-zero (RFC 5280 section 4.1.2.2).
  bytes[0] = ((bytes[0] ?? 0) & 0x7f) | 0x40
  return bytes.toString('hex')
}

async function exportKey(key: CryptoKey): Promise<Secret> {
  const der = Buffer.from(await crypto.subtle.exportKey('pkcs8', key))
  const lines = der.toString('base64').match(/.{1,64}/g) ?? []
  return new Secret(`-----BEGIN PRIVATE KEY-----\n${lines.join('\n')}\n-----END PRIVATE KEY-----\n`)
}

async function importKey(ca: LinkCa): Promise<CryptoKey> {
  const body = ca.key.reveal().replace(/-----[A-Z ]+-----|\s/g, '')
  return await crypto.subtle.importKey('pkcs8', Buffer.from(body, 'base64'), ALGORITHM, false, ['sign'])
}
