import { join } from 'node:path'
import { z } from 'zod'
import { Secret } from '../../broker/domain/secret.ts'
import { privateFolder, readPrivate, writePrivate } from './private-files.ts'

const okp = <C extends 'Ed25519' | 'X25519'>(crv: C) =>
  z.strictObject({
    kty: z.literal('OKP'),
    crv: z.literal(crv),
    x: z.string(),
    d: z.string(),
    kid: z.string(),
  })

const brokerKey = z.looseObject({ kty: z.string(), kid: z.string(), x: z.string().optional() })

const stored = z.strictObject({
  v: z.literal(1),
  gateway: z.uuid(),
  name: z.string(),
  deployment: z.uuid(),
  site: z.strictObject({ id: z.uuid(), name: z.string() }),
  /** Link ports of the brokers, https URLs. The gateway dials each of them; none dials the gateway. */
  brokers: z
    .array(z.url({ protocol: /^https$/ }))
    .min(1)
    .max(16),
  tls: z.strictObject({ key: z.string(), certificate: z.string(), ca: z.string() }),
  sign: okp('Ed25519'),
  seal: okp('X25519'),
  brokerKeys: z.array(brokerKey).min(1).max(16),
})
type Stored = z.infer<typeof stored>

/** Ed25519 public keys by `kid` (base64url x). */
export type BrokerKeys = ReadonlyMap<string, string>

export interface GatewayIdentity {
  gateway: string
  name: string
  deployment: string
  site: { id: string; name: string }
  brokers: readonly string[]
  tls: { key: Secret; certificate: string; ca: string }
  /** Private JWKs. */
  sign: Secret<Stored['sign']>
  seal: Secret<Stored['seal']>
  brokerKeys: BrokerKeys
}

const FILE = 'gateway.json'

export function identityPath(dataDir: string): string {
  return join(dataDir, 'identity', FILE)
}

/** Throws when the gateway isn't enrolled, the file is readable by others, or its content isn't ours. */
export async function loadIdentity(dataDir: string): Promise<GatewayIdentity> {
  await privateFolder(join(dataDir, 'identity'))
  const parsed = stored.safeParse(JSON.parse(await readPrivate(identityPath(dataDir))))
  if (!parsed.success)
    throw new Error(`${identityPath(dataDir)} is damaged: enrol this gateway again with a new token`)
  const { sign, seal, tls, ...rest } = parsed.data
  return {
    gateway: rest.gateway,
    name: rest.name,
    deployment: rest.deployment,
    site: rest.site,
    brokers: rest.brokers,
    tls: { key: new Secret(tls.key), certificate: tls.certificate, ca: tls.ca },
    sign: new Secret(sign),
    seal: new Secret(seal),
    brokerKeys: brokerKeyMap(rest.brokerKeys),
  }
}

export async function storeIdentity(dataDir: string, identity: Stored): Promise<void> {
  await privateFolder(dataDir)
  await privateFolder(join(dataDir, 'identity'))
  await writePrivate(identityPath(dataDir), `${JSON.stringify(stored.parse(identity), null, 2)}\n`)
}

/** The broker's keys as it names them on the authenticated link: the old ones count no longer, also after a restart. */
export async function storeBrokerKeys(
  dataDir: string,
  keys: readonly z.infer<typeof brokerKey>[],
): Promise<void> {
  const path = identityPath(dataDir)
  const identity = stored.parse(JSON.parse(await readPrivate(path)))
  await writePrivate(path, `${JSON.stringify({ ...identity, brokerKeys: keys }, null, 2)}\n`)
}

/** Only Ed25519 keys with 32 bytes count; anything else is left out, so it verifies nothing. */
export function brokerKeyMap(keys: readonly unknown[]): BrokerKeys {
  const map = new Map<string, string>()
  for (const value of keys) {
    const key = z.looseObject({
      kty: z.literal('OKP'),
      crv: z.literal('Ed25519'),
      x: z.string(),
      kid: z.string(),
    })
    const parsed = key.safeParse(value)
    if (parsed.success && Buffer.from(parsed.data.x, 'base64url').length === 32)
      map.set(parsed.data.kid, parsed.data.x)
  }
  return map
}
