import 'reflect-metadata'
import { createHash, timingSafeEqual, webcrypto } from 'node:crypto'
import { access } from 'node:fs/promises'
import { request } from 'node:http'
import { type DetailedPeerCertificate, type TLSSocket, connect as tlsConnect } from 'node:tls'
import { Pkcs10CertificateRequestGenerator } from '@peculiar/x509'
import { calculateJwkThumbprint } from 'jose'
import { type EnrolRequest, EnrolResponse } from '../broker/contract/link.ts'
import {
  brokerKeyMap,
  type GatewayIdentity,
  identityPath,
  loadIdentity,
  storeIdentity,
} from './identity/identity.ts'
import { LINK_NAME } from './link/link-name.ts'
import { VERSION } from './version.ts'

const TOKEN = /^sp1\.[A-Za-z0-9_-]{43}\.([A-Za-z0-9_-]{43})$/
const ANSWER_LIMIT = 256 * 1024

/** Why an enrolment did not happen; the message says what to do. */
export class EnrolFailure extends Error {
  readonly code: string

  constructor(code: string, message: string) {
    super(message)
    this.name = 'EnrolFailure'
    this.code = code
  }
}

/**
 * Makes this gateway's keys, redeems the one-time token at `broker` (an https URL of the link port) and stores the
 * identity under `dataDir` with mode 0600. The only certificate authority trusted is the one whose fingerprint stands
 * in the token, so nobody in between learns the token's secret.
 */
export async function enrol(options: {
  token: string
  broker: string
  dataDir: string
  name: string
  /** Further brokers of the same deployment to keep a link to. */
  brokers?: readonly string[]
  /** Replaces an identity that is there already (a rotation). */
  replace?: boolean
}): Promise<GatewayIdentity> {
  const pin = TOKEN.exec(options.token)?.[1]
  if (!pin)
    throw new EnrolFailure(
      'bad-token',
      'This is not an enrolment token (sp1.…). Copy it again from the gateways page.',
    )
  const url = new URL(options.broker)
  if (url.protocol !== 'https:')
    throw new EnrolFailure('bad-url', 'The broker’s link address must begin with https://.')
  if (!options.replace && (await exists(identityPath(options.dataDir))))
    throw new EnrolFailure(
      'already-enrolled',
      `${options.dataDir} holds an enrolled gateway already. Use another folder, or enrol with --replace to rotate its keys.`,
    )
  const [tls, sign, seal] = await Promise.all([tlsKey(options.name), okpKey('Ed25519'), okpKey('X25519')])
  const asked: EnrolRequest = {
    token: options.token,
    name: options.name,
    version: VERSION,
    csr: tls.csr,
    signKey: { kty: 'OKP', crv: 'Ed25519', x: sign.x, kid: sign.kid },
    sealKey: { kty: 'OKP', crv: 'X25519', x: seal.x, kid: seal.kid },
  }
  const { response, ca } = await post(url, Buffer.from(pin, 'base64url'), asked)
  // The CA that the answer names must be the one that the handshake was checked against.
  if (fingerprint(derOf(response.ca)).compare(ca) !== 0)
    throw new EnrolFailure(
      'wrong-ca',
      'The broker answered with another certificate authority than the token names.',
    )
  if (brokerKeyMap(response.brokerKeys).size === 0)
    throw new EnrolFailure('no-broker-key', 'The broker named no signing key. It may be of another version.')
  await storeIdentity(options.dataDir, {
    v: 1,
    gateway: response.gateway,
    name: options.name,
    deployment: response.deployment,
    site: response.site,
    brokers: [...new Set([url.origin, ...(options.brokers ?? [])])],
    tls: { key: tls.key, certificate: response.certificate, ca: response.ca },
    sign: { ...sign, crv: 'Ed25519' },
    seal: { ...seal, crv: 'X25519' },
    brokerKeys: response.brokerKeys.map((key) => ({ ...key })),
  })
  return await loadIdentity(options.dataDir)
}

async function tlsKey(name: string): Promise<{ key: string; csr: string }> {
  const algorithm = { name: 'ECDSA', namedCurve: 'P-256', hash: 'SHA-256' }
  const keys = await webcrypto.subtle.generateKey(algorithm, true, ['sign', 'verify'])
  const csr = await Pkcs10CertificateRequestGenerator.create({
    name: [{ CN: [name] }],
    keys: keys as CryptoKeyPair,
    signingAlgorithm: algorithm,
  })
  const der = Buffer.from(await webcrypto.subtle.exportKey('pkcs8', keys.privateKey))
  return { key: pemOf('PRIVATE KEY', der), csr: csr.toString('pem') }
}

/** RFC 7468: lines of 64 characters, or OpenSSL does not read it. */
function pemOf(label: string, der: Buffer): string {
  const lines = der.toString('base64').match(/.{1,64}/g) ?? []
  return `-----BEGIN ${label}-----\n${lines.join('\n')}\n-----END ${label}-----\n`
}

async function okpKey(
  crv: 'Ed25519' | 'X25519',
): Promise<{ kty: 'OKP'; crv: 'Ed25519' | 'X25519'; x: string; d: string; kid: string }> {
  const keys = (await webcrypto.subtle.generateKey(
    { name: crv },
    true,
    crv === 'Ed25519' ? ['sign', 'verify'] : ['deriveBits'],
  )) as unknown as CryptoKeyPair
  const { x, d } = await webcrypto.subtle.exportKey('jwk', keys.privateKey)
  if (!x || !d) throw new Error(`no ${crv} key was made`)
  const kid = await calculateJwkThumbprint({ kty: 'OKP', crv, x })
  return { kty: 'OKP', crv, x, d, kid }
}

/** One POST over a connection whose chain ends in the pinned CA. */
async function post(
  url: URL,
  pin: Buffer,
  body: EnrolRequest,
): Promise<{ response: EnrolResponse; ca: Buffer }> {
  const { socket, ca } = await pinned(url, pin)
  return await new Promise((done, failed) => {
    const text = JSON.stringify(body)
    const call = request(
      {
        // With an agent, also `false`, Node would ignore this and dial by itself, with the system's authorities.
        createConnection: () => socket,
        method: 'POST',
        host: url.hostname,
        port: url.port,
        path: '/link/v1/enrol',
        headers: { 'content-type': 'application/json', 'content-length': Buffer.byteLength(text) },
        timeout: 30_000,
      },
      (answer) => {
        const chunks: Buffer[] = []
        let length = 0
        answer.on('data', (chunk: Buffer) => {
          length += chunk.length
          if (length > ANSWER_LIMIT)
            answer.destroy(new EnrolFailure('bad-answer', 'The broker’s answer is too long.'))
          else chunks.push(chunk)
        })
        answer.on('error', failed)
        answer.on('end', () => {
          socket.destroy()
          const parsed = json(Buffer.concat(chunks).toString('utf8'))
          if (answer.statusCode === 200 || answer.statusCode === 201) {
            const response = EnrolResponse.safeParse(parsed)
            if (response.success) done({ response: response.data, ca })
            else failed(new EnrolFailure('bad-answer', 'The broker’s answer is not of this version’s form.'))
            return
          }
          const said = parsed as { code?: unknown; message?: unknown } | null
          const code = typeof said?.code === 'string' ? said.code : 'enrolment-refused'
          const message = typeof said?.message === 'string' ? said.message : `status ${answer.statusCode}`
          failed(new EnrolFailure(code, `The broker refused: ${message.slice(0, 300)}`))
        })
      },
    )
    call.on('timeout', () =>
      call.destroy(new EnrolFailure('timed-out', 'The broker did not answer in 30 s.')),
    )
    call.on('error', failed)
    call.end(text)
  })
}

/**
 * TLS 1.3 with the CA from the token. Its certificate is learnt from the chain that the server sends, compared by
 * fingerprint, and then a second handshake verifies the whole chain and the name against exactly that CA: nothing is
 * said on the first one.
 */
async function pinned(url: URL, pin: Buffer): Promise<{ socket: TLSSocket; ca: Buffer }> {
  const first = await handshake(url, { rejectUnauthorized: false })
  const ca = chainOf(first).find((certificate) => timingSafeEqual(fingerprint(certificate.raw), pin))
  first.destroy()
  if (!ca)
    throw new EnrolFailure(
      'wrong-ca',
      'The address does not lead to the broker that made this token: its certificate authority is another one.',
    )
  const pem = pemOf('CERTIFICATE', ca.raw)
  const socket = await handshake(url, { ca: pem, rejectUnauthorized: true })
  return { socket, ca: fingerprint(ca.raw) }
}

function handshake(url: URL, trust: { ca?: string; rejectUnauthorized: boolean }): Promise<TLSSocket> {
  return new Promise((done, failed) => {
    const socket = tlsConnect({
      host: url.hostname,
      port: Number(url.port || 443),
      servername: LINK_NAME,
      minVersion: 'TLSv1.3',
      ...trust,
    })
    const deadline = setTimeout(
      () => socket.destroy(new EnrolFailure('timed-out', 'The broker did not answer in 10 s.')),
      10_000,
    )
    socket.once('secureConnect', () => {
      clearTimeout(deadline)
      socket.removeListener('error', failed)
      socket.on('error', () => {})
      done(socket)
    })
    socket.once('error', (error) => {
      clearTimeout(deadline)
      failed(
        error instanceof EnrolFailure
          ? error
          : new EnrolFailure('no-link', `No connection to ${url.origin}: ${error.message}`),
      )
    })
  })
}

function chainOf(socket: TLSSocket): DetailedPeerCertificate[] {
  const chain: DetailedPeerCertificate[] = []
  let next: DetailedPeerCertificate | undefined = socket.getPeerCertificate(true)
  while (next?.raw && !chain.includes(next) && chain.length < 10) {
    chain.push(next)
    next = next.issuerCertificate
  }
  return chain
}

function fingerprint(der: Uint8Array): Buffer {
  return createHash('sha256').update(der).digest()
}

function derOf(pem: string): Buffer {
  return Buffer.from(pem.replace(/-----[A-Z ]+-----|\s/g, ''), 'base64')
}

function json(text: string): unknown {
  try {
    return JSON.parse(text)
  } catch {
    return null
  }
}

async function exists(path: string): Promise<boolean> {
  return await access(path).then(
    () => true,
    () => false,
  )
}
