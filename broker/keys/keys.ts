import { createECDH, generateKeyPairSync, hkdfSync, randomBytes } from 'node:crypto'
import { mkdir, readFile, rename, rm, unlink } from 'node:fs/promises'
import path from 'node:path'
import type { JWK } from 'jose'
import { combine, split } from 'shamir-secret-sharing'
import type { JsonWebKeyPublic } from '../domain/grant.ts'
import { newId } from '../domain/ids.ts'
import { Secret } from '../domain/secret.ts'
import { createLinkCa, type LinkCa } from '../link/link-authority.ts'
import { handoutText } from './handout.ts'
import { exists, KeyError, readPrivate, syncFolder, writeWhole } from './key-files.ts'
import type { RootStatement, StatedKey, StatementFile } from './root-statement.ts'
import { SigningKey } from './signing-key.ts'
import { currentKey, readStatement, signStatement, statedKeyOf } from './statement.ts'
import { canonicalThumbprint } from './thumbprint.ts'

/** What the running broker holds. Root, input and escrow are not among it: their private parts are offline. */
export interface DeploymentKeys {
  deployment: string
  log: SigningKey
  /** Raw public parts of former log keys: their checkpoints stay valid. */
  formerLogKeys: Buffer[]
  broker: SigningKey
  /** AES-256 key of the credential vault. */
  vault: Secret<Buffer>
  /** HMAC key of staged audit entries. */
  auditMac: Secret<Buffer>
  /** For the replay module only: opens screen streams. */
  replay: Secret<JWK>
  /** Public keys that recordings are sealed to, as a grant carries them. */
  recordingKeys: { replay: JsonWebKeyPublic; input: JsonWebKeyPublic; escrow: JsonWebKeyPublic }
  linkCa: LinkCa
  statement: RootStatement
  /** The text of root-statement.json. */
  statementText: string
  /** A 32-byte key for one purpose (session cookies, tokens), from a secret that stays in the keys folder. */
  derive(purpose: string): Secret<Buffer>
}

const HANDOUT = 'OFFLINE-KEYS.txt'
const PRIVATE_FILES = [
  'log.jwk',
  'broker.jwk',
  'vault.key',
  'audit-mac.key',
  'derive.key',
  'replay.jwk',
  'link-ca.key',
  'link-ca.pem',
] as const

/** Shares of the input key, and how many of them open it. */
const SHARES = 3
const THRESHOLD = 2

/**
 * Opens the keys of a data folder, making them at the first start. The offline parts are then written once to
 * OFFLINE-KEYS.txt (mode 0600) beside the keys folder, for the operator to move away: a terminal would keep them in
 * its scrollback and a service manager in its journal.
 */
export async function openKeys(dataDir: string, nowMs: number): Promise<DeploymentKeys> {
  const folder = path.join(dataDir, 'keys')
  if (!(await exists(folder))) await makeKeys(dataDir, folder, nowMs)
  return load(folder)
}

/** Path of the offline keys while they are still on this machine; the health page nags until it is null. */
export async function handoutWaiting(dataDir: string): Promise<string | null> {
  const file = path.join(dataDir, HANDOUT)
  return (await exists(file)) ? file : null
}

async function makeKeys(dataDir: string, folder: string, nowMs: number): Promise<void> {
  const half = `${folder}.new`
  await rm(half, { recursive: true, force: true })
  await mkdir(half, { recursive: true, mode: 0o700 })
  const deployment = newId(nowMs)
  const rootJwk = ed25519()
  const root = new SigningKey(rootJwk)
  const log = ed25519()
  const broker = ed25519()
  const replay = p256()
  const input = p256()
  const escrow = p256()
  const ca = await createLinkCa(deployment, nowMs)
  const statement: RootStatement = {
    v: 1,
    deployment,
    serial: 1,
    issued: new Date(nowMs).toISOString(),
    keys: [
      statedKeyOf('log', log, 0),
      statedKeyOf('broker', broker, 0),
      statedKeyOf('replay', replay, 0),
      statedKeyOf('input', input, 0),
      statedKeyOf('escrow', escrow, 0),
    ],
    epochs: [{ epoch: 0, follows: null, reason: null }],
  }
  const contents: Record<(typeof PRIVATE_FILES)[number], string> = {
    'log.jwk': JSON.stringify(log),
    'broker.jwk': JSON.stringify(broker),
    'vault.key': random32(),
    'audit-mac.key': random32(),
    'derive.key': random32(),
    'replay.jwk': JSON.stringify(replay),
    'link-ca.key': ca.key.reveal(),
    'link-ca.pem': ca.certificate,
  }
  for (const name of PRIVATE_FILES) await writeWhole(path.join(half, name), `${contents[name].trimEnd()}\n`)
  await writeWhole(
    path.join(half, 'root-statement.json'),
    statementFileText(await signStatement(root, statement)),
    0o644,
  )
  const shares = await split(new Uint8Array(Buffer.from(input.d ?? '', 'base64url')), SHARES, THRESHOLD)
  // Before the folder gets its name: whatever is cut off, there are never keys without their offline parts.
  await writeWhole(
    path.join(dataDir, HANDOUT),
    handoutText({
      deployment,
      rootKid: root.kid,
      rootPublic: root.x,
      root: rootJwk,
      escrow,
      inputKid: canonicalThumbprint(input),
      inputShares: shares.map((share) => Buffer.from(share).toString('base64url')),
    }),
  )
  await rename(half, folder)
  await syncFolder(dataDir)
}

async function load(folder: string): Promise<DeploymentKeys> {
  const text = async (name: (typeof PRIVATE_FILES)[number]) => readPrivate(path.join(folder, name))
  const bytes = async (name: (typeof PRIVATE_FILES)[number]) => {
    const key = Buffer.from((await text(name)).reveal().trim(), 'base64url')
    if (key.length !== 32) throw new KeyError('key-malformed', `${name} does not hold 32 bytes.`)
    return new Secret(key)
  }
  const jwk = async (name: (typeof PRIVATE_FILES)[number]) => JSON.parse((await text(name)).reveal()) as JWK
  const statementText = await readFile(path.join(folder, 'root-statement.json'), 'utf8')
  const { statement } = readStatement(statementText)
  await settle(folder, statement)
  const log = new SigningKey(await jwk('log.jwk'))
  const broker = new SigningKey(await jwk('broker.jwk'))
  const replay = await jwk('replay.jwk')
  for (const [use, kid] of [
    ['log', log.kid],
    ['broker', broker.kid],
    ['replay', canonicalThumbprint(replay)],
  ] as const) {
    if (currentKey(statement, use).kid !== kid) {
      throw new KeyError(
        'key-malformed',
        `The private ${use} key is not the one that root-statement.json names.`,
      )
    }
  }
  const base = await bytes('derive.key')
  const sealTo = (use: 'replay' | 'input' | 'escrow') => publicJwk(currentKey(statement, use))
  return {
    deployment: statement.deployment,
    log,
    formerLogKeys: statement.keys
      .filter((key) => key.use === 'log' && key.until !== null)
      .map((key) => Buffer.from(key.jwk.x, 'base64url')),
    broker,
    vault: await bytes('vault.key'),
    auditMac: await bytes('audit-mac.key'),
    replay: new Secret(replay),
    recordingKeys: { replay: sealTo('replay'), input: sealTo('input'), escrow: sealTo('escrow') },
    linkCa: { certificate: (await text('link-ca.pem')).reveal(), key: await text('link-ca.key') },
    statement,
    statementText,
    derive: (purpose) =>
      new Secret(Buffer.from(hkdfSync('sha256', base.reveal(), 'sallyport/derive/v1', purpose, 32))),
  }
}

/**
 * Puts a new broker key (or log key) into use from audit index `fromIndex` on. The root's private part comes from the
 * operator for this one call. The old public key stays in root-statement.json with its end.
 */
export async function rotateSigningKey(
  dataDir: string,
  use: 'broker' | 'log',
  rootPrivate: Secret<JWK>,
  fromIndex: number,
  nowMs: number,
): Promise<RootStatement> {
  const fresh = ed25519()
  return restate(dataDir, rootPrivate, nowMs, { [`${use}.jwk`]: JSON.stringify(fresh) }, (statement) => ({
    ...statement,
    keys: [
      ...statement.keys.map((key) =>
        key.use === use && key.until === null ? { ...key, until: fromIndex } : key,
      ),
      statedKeyOf(use, fresh, fromIndex),
    ],
  }))
}

/**
 * Begins a new log epoch after a restore that lost entries: signed by the root, naming the last checkpoint known of
 * the epoch before. Returns the new epoch's number.
 */
export async function beginEpoch(
  dataDir: string,
  rootPrivate: Secret<JWK>,
  follows: string,
  reason: string,
  nowMs: number,
): Promise<number> {
  const statement = await restate(dataDir, rootPrivate, nowMs, {}, (old) => ({
    ...old,
    epochs: [...old.epochs, { epoch: old.epochs.length, follows, reason }],
  }))
  return statement.epochs.length - 1
}

/** Writes a new statement, signed by the root, and the private keys that belong to it. */
async function restate(
  dataDir: string,
  rootPrivate: Secret<JWK>,
  nowMs: number,
  files: Record<string, string>,
  change: (old: RootStatement) => RootStatement,
): Promise<RootStatement> {
  const folder = path.join(dataDir, 'keys')
  const { file, statement } = readStatement(await readFile(path.join(folder, 'root-statement.json'), 'utf8'))
  const root = new SigningKey(rootPrivate.reveal())
  if (root.kid !== file.root.kid) {
    throw new KeyError('root-mismatch', `This is not the root key of deployment ${statement.deployment}.`)
  }
  const next = change({ ...statement, serial: statement.serial + 1, issued: new Date(nowMs).toISOString() })
  // A crash between the two leaves a key that root-statement.json does not name: refused at the next start, old file beside it.
  for (const [name, content] of Object.entries(files)) {
    await writeWhole(path.join(folder, `${name}.old`), (await readPrivate(path.join(folder, name))).reveal())
    await writeWhole(path.join(folder, name), `${content}\n`)
  }
  await writeWhole(
    path.join(folder, 'root-statement.json'),
    statementFileText(await signStatement(root, next)),
    0o644,
  )
  for (const name of Object.keys(files)) await unlink(path.join(folder, `${name}.old`))
  return next
}

/** Undoes a rotation that was cut off between the private key and root-statement.json; finishes one cut off after it. */
async function settle(folder: string, statement: RootStatement): Promise<void> {
  for (const use of ['log', 'broker'] as const) {
    const file = path.join(folder, `${use}.jwk`)
    if (!(await exists(`${file}.old`))) continue
    const old = new SigningKey(JSON.parse((await readPrivate(`${file}.old`)).reveal()) as JWK)
    if (old.kid === currentKey(statement, use).kid) await rename(`${file}.old`, file)
    else await unlink(`${file}.old`)
  }
}

function ed25519(): JWK {
  return generateKeyPairSync('ed25519').privateKey.export({ format: 'jwk' }) as JWK
}

function p256(): JWK {
  return generateKeyPairSync('ec', { namedCurve: 'P-256' }).privateKey.export({ format: 'jwk' }) as JWK
}

function random32(): string {
  return randomBytes(32).toString('base64url')
}

function statementFileText(file: StatementFile): string {
  return `${JSON.stringify(file, null, 2)}\n`
}

function publicJwk(key: StatedKey): JsonWebKeyPublic {
  return { ...key.jwk, kid: key.kid }
}

/** Joins custodians' shares to the private input key. Throws when they do not make the key that root-statement.json names. */
export async function joinInputShares(
  shares: readonly string[],
  input: JsonWebKeyPublic,
): Promise<Secret<JWK>> {
  const d = await combine(shares.map((share) => new Uint8Array(Buffer.from(share, 'base64url'))))
  const jwk: JWK = { ...input, d: Buffer.from(d).toString('base64url') }
  try {
    const curve = createECDH('prime256v1')
    curve.setPrivateKey(Buffer.from(d))
    // Uncompressed point (SEC 1 section 2.3.3): 0x04 || x || y.
    const point = curve.getPublicKey()
    const x = point.subarray(1, 33).toString('base64url')
    if (x === input.x && point.subarray(33).toString('base64url') === input.y) return new Secret(jwk)
  } catch {
    // Falls through: wrong or too few shares give a random number, which may not even be a key.
  }
  throw new KeyError(
    'key-malformed',
    'These shares do not make the input key. Two different ones are needed.',
  )
}
