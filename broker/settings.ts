import { readFile } from 'node:fs/promises'
import { hostname } from 'node:os'
import path from 'node:path'
import { z } from 'zod'
import { Failure } from './domain/failure.ts'
import { Secret } from './domain/secret.ts'
import { ROLES } from './domain/words.ts'
import type { OidcProvider } from './identity/oidc.ts'
import { externalDatabase } from './store/external.ts'

/**
 * Settings of an installation: a JSON file, and over it the environment. docs/operations/settings.md lists them. A
 * field or SALLYPORT_ variable that is not known is refused: a typing mistake must not leave a default in force.
 */
const port = z.coerce.number().int().min(0).max(65_535)
const line = z.string().trim().min(1).max(500)

const provider = z.strictObject({
  id: z.string().regex(/^[a-z0-9-]{1,40}$/),
  name: line,
  issuer: z.url({ protocol: /^https$/ }),
  clientId: line,
  /** File with the client secret; a secret stands in no settings file. */
  clientSecretFile: line.optional(),
  scope: line.optional(),
  acceptedAcr: z.array(line).optional(),
  /** The provider checks every mail address itself, but sends no `email_verified`. */
  emailsVerified: z.boolean().optional(),
  /** PEM file of the CA of a provider inside the plant. */
  caFile: line.optional(),
  mapping: z.strictObject({
    organisationClaim: line.optional(),
    organisations: z.record(z.string(), z.union([z.literal('staff'), z.strictObject({ vendor: line })])),
    organisation: line.optional(),
    rolesClaim: line,
    roles: z.record(z.string(), z.array(z.strictObject({ role: z.enum(ROLES), site: line.nullable() }))),
  }),
})

const fields = {
  /** Data folder: keys, checkpoints, embedded database, recordings. */
  data: line.default('data'),
  /** What people see as the installation's name. */
  name: line.default('Sallyport'),
  /** DNS name under which browsers reach it; never an IP address. */
  publicName: line.default(hostname().toLowerCase()),
  /** Port in the address that browsers see; the web port unless a proxy or redirect stands before it. */
  publicPort: port.optional(),
  webHost: line.default('0.0.0.0'),
  webPort: port.default(8443),
  /** Where gateways dial in. `up` binds it to this machine unless told otherwise. */
  linkHost: line.optional(),
  linkPort: port.default(8444),
  /** PEM files of a certificate for the public name; the site's own CA without them. */
  certificate: line.optional(),
  certificateKey: line.optional(),
  /** External PostgreSQL; DATABASE_URL in the environment, or a file that holds it. */
  databaseUrlFile: line.optional(),
  databaseAppUrlFile: line.optional(),
  /** PEM file of the CA of an external PostgreSQL; the system's CAs without it. */
  databaseCa: line.optional(),
  /** Folder of the recordings; `recordings` in the data folder. */
  recordings: line.optional(),
  /** Below this much free space no new session opens, bytes. */
  reserveBytes: z.coerce
    .number()
    .int()
    .min(0)
    .default(2 * 1024 ** 3),
  /** Signed ticket files dropped here are taken in. */
  ticketFolder: line.optional(),
  /** Reverse proxies whose X-Forwarded-For counts, comma-separated in the environment. */
  trustedProxies: z
    .union([z.array(line), z.string().transform((text) => text.split(',').map((one) => one.trim()))])
    .optional(),
  logLevel: z.enum(['fatal', 'error', 'warn', 'info', 'debug', 'silent']).default('info'),
  /** The first site, made at the first start of `up`. */
  site: line.default('Plant'),
  timeZone: line.default(Intl.DateTimeFormat().resolvedOptions().timeZone),
  /** The gateway that `up` runs, and `sallyport gateway`: its folder, name, and the brokers' link addresses. */
  gatewayData: line.optional(),
  gatewayName: line.default('gateway-1'),
  gatewayBroker: z
    .union([z.array(line), z.string().transform((text) => text.split(',').map((one) => one.trim()))])
    .optional(),
  gatewayReserveBytes: z.coerce.number().int().min(0).optional(),
}
const schema = z.strictObject({ ...fields, providers: z.array(provider).max(20).default([]) })
export type Settings = Omit<z.output<typeof schema>, 'providers'> & {
  providers: OidcProvider[]
  databaseUrl: Secret | null
  databaseAppUrl: Secret | null
}

/** Variables that are not settings of an installation: the file's own name, one-time tokens, tests. */
const OTHER_VARIABLES = new Set([
  'SALLYPORT_CONFIG',
  'SALLYPORT_ENROLMENT_TOKEN',
  'SALLYPORT_PASSPHRASE_FILE',
  'SALLYPORT_LAB',
])

/** Reads file and environment. Throws Failure `bad-settings` naming every field that is wrong, and how. */
export async function readSettings(
  env: Readonly<Record<string, string | undefined>>,
  file: string | undefined = env.SALLYPORT_CONFIG,
): Promise<Settings> {
  const given: Record<string, unknown> = file === undefined ? {} : await readJson(file)
  for (const [variable, value] of Object.entries(env)) {
    if (!variable.startsWith('SALLYPORT_') || value === undefined || OTHER_VARIABLES.has(variable)) continue
    const name = variable
      .slice('SALLYPORT_'.length)
      .toLowerCase()
      .replace(/_([a-z])/g, (_, letter: string) => letter.toUpperCase())
    if (!Object.hasOwn(fields, name)) throw bad([`${variable} is not a setting.`])
    given[name] = value
  }
  const read = schema.safeParse(given)
  if (!read.success)
    throw bad(read.error.issues.map((issue) => `${issue.path.join('.') || 'settings'}: ${issue.message}.`))
  const settings = read.data
  if ((settings.certificate === undefined) !== (settings.certificateKey === undefined))
    throw bad(['certificate and certificateKey belong together.'])
  try {
    new Intl.DateTimeFormat('en', { timeZone: settings.timeZone })
  } catch {
    throw bad([`timeZone: ${settings.timeZone} is no IANA time zone such as Europe/Berlin.`])
  }
  return {
    ...settings,
    data: path.resolve(settings.data),
    providers: await Promise.all(settings.providers.map(readProvider)),
    databaseUrl: withCa(
      await secretOf('DATABASE_URL', env.DATABASE_URL, settings.databaseUrlFile),
      settings.databaseCa,
    ),
    databaseAppUrl: withCa(
      await secretOf('DATABASE_APP_URL', env.DATABASE_APP_URL, settings.databaseAppUrlFile),
      settings.databaseCa,
    ),
  }
}

export function publicUrlOf(settings: Settings): string {
  const port = settings.publicPort ?? settings.webPort
  // An address of the IPv6 kind needs its brackets to be refused with the right reason.
  const name = settings.publicName.includes(':') ? `[${settings.publicName}]` : settings.publicName
  return `https://${name}${port === 443 ? '' : `:${port}`}`
}

async function readProvider(given: z.output<typeof provider>): Promise<OidcProvider> {
  const { clientSecretFile, caFile, scope, acceptedAcr, emailsVerified, mapping, ...rest } = given
  const { organisationClaim, organisation, ...maps } = mapping
  return {
    ...rest,
    ...(scope === undefined ? {} : { scope }),
    ...(acceptedAcr === undefined ? {} : { acceptedAcr }),
    ...(emailsVerified === undefined ? {} : { emailsVerified }),
    mapping: {
      ...maps,
      ...(organisationClaim === undefined ? {} : { organisationClaim }),
      ...(organisation === undefined ? {} : { organisation }),
    },
    clientSecret:
      clientSecretFile === undefined ? null : new Secret((await readText(clientSecretFile)).trim()),
    ...(caFile === undefined ? {} : { ca: await readText(caFile) }),
  }
}

async function secretOf(
  variable: string,
  value: string | undefined,
  file: string | undefined,
): Promise<Secret | null> {
  if (value === undefined && file === undefined) return null
  const text = value ?? (await readText(file ?? '')).trim()
  // A secret that did not arrive must not start an empty embedded database in place of the real one.
  if (text === '') throw bad([`${value === undefined ? file : variable} is empty.`])
  return new Secret(text)
}

/** The URL with its CA, refused here already when it would not be used. Its own `sslrootcert` stands over the setting. */
function withCa(url: Secret | null, caFile: string | undefined): Secret | null {
  if (url === null) return null
  const whole = caFile === undefined ? url : new Secret(rootCertificate(url.reveal(), path.resolve(caFile)))
  externalDatabase(whole)
  return whole
}

function rootCertificate(url: string, file: string): string {
  return /[?&]sslrootcert=/.test(url)
    ? url
    : `${url}${url.includes('?') ? '&' : '?'}sslrootcert=${encodeURIComponent(file)}`
}

async function readJson(file: string): Promise<Record<string, unknown>> {
  const text = await readText(file)
  try {
    const value: unknown = JSON.parse(text)
    if (typeof value === 'object' && value !== null && !Array.isArray(value)) return { ...value }
  } catch {
    // Falls through.
  }
  throw bad([`${file} is not a JSON object.`])
}

async function readText(file: string): Promise<string> {
  try {
    return await readFile(file, 'utf8')
  } catch (error) {
    throw bad([`${file} cannot be read: ${(error as NodeJS.ErrnoException).code ?? 'unknown'}.`])
  }
}

function bad(problems: string[]): Failure {
  return new Failure(
    400,
    'bad-settings',
    problems.join('\n'),
    'Correct the settings; docs/operations/settings.md lists them all.',
  )
}
