#!/usr/bin/env node
import { type ChildProcess, spawn } from 'node:child_process'
import { existsSync } from 'node:fs'
import { readFile } from 'node:fs/promises'
import path from 'node:path'
import { parseArgs } from 'node:util'
import { setFlagsFromString } from 'node:v8'
import { pino } from 'pino'
import { startApprovals } from './approvals/approvals.ts'
import { ticketSigner } from './approvals/tickets/snapshot-signer.ts'
import { backup } from './broker/backup/backup.ts'
import { restore } from './broker/backup/restore.ts'
import { type BrokerConfig, type Rooms, type RunningBroker, startBroker } from './broker/broker.ts'
import { Failure } from './broker/domain/failure.ts'
import { Secret } from './broker/domain/secret.ts'
import { rootFromHandout } from './broker/keys/handout.ts'
import { handoutWaiting } from './broker/keys/keys.ts'
import { publicUrlOf, readSettings, type Settings } from './broker/settings.ts'
import { EnrolFailure, enrol } from './gateway/enrol.ts'
import { startGateway } from './gateway/gateway.ts'
import { identityPath } from './gateway/identity/identity.ts'
import { VERSION } from './gateway/version.ts'
import { openArchive } from './recordings/archive/archive.ts'
import { verifyCommand } from './recordings/cli/verify.ts'

// Bytes on their way lie outside V8's heap. By default it collects all of a thread's heap for each 64 MiB that has gone
// through, which costs a busy gateway as much as the sessions themselves; counted with the heap they wait their turn.
setFlagsFromString('--external-memory-accounted-in-global-limit')
// Counted so, the small heap of a session thread would be full every 25 MiB: a first limit of 96 MB spares it nearly all
// full collections, short-lived bytes go with the young generation.
setFlagsFromString('--initial-heap-size=96')

const USAGE = `usage: sallyport COMMAND [--config FILE]

  up                    everything on this machine: database, broker, one gateway (npm start)
  broker                the broker alone; DATABASE_URL for an external PostgreSQL
  gateway               a gateway of an enrolled folder; enrols first with SALLYPORT_ENROLMENT_TOKEN
      --replace           enrol anew although the folder is enrolled (rotates the gateway's keys)
  verify FILE --trust keys.json [--key recipient.jwk] [--json]
                        check an evidence package; needs no installation and no network
  backup --to FOLDER    save the deployment, also beside a running broker
  restore --from FOLDER [--newer-checkpoints FILE] [--root-sheet FILE]
                        put a backup into an empty data folder
  restore --confirm     what was revoked since the restored backup was revoked again; the broker stopped
  clock --confirm       this machine's clock is right, although a later time was seen once
  administrator         a new one-time set-up link, until the first administrator has signed in

Settings come from the file and from the environment (SALLYPORT_PUBLIC_NAME, SALLYPORT_DATA ...);
docs/operations/settings.md lists them.
`

/** The rooms that the broker itself may not import, put together. Also used by the demo. */
export function rooms(places: {
  recordings: string
  reserveBytes: number
  ticketFolder: string | null
}): Rooms {
  return {
    approvals: ({ key, ...parts }) =>
      startApprovals({ ...parts, ticketSigner: ticketSigner(key), ticketFolder: places.ticketFolder }),
    recordings: ({ db, audit, keys, clock, desk, trust, sessionOfRecording, gatewaySignKey }) =>
      openArchive(
        {
          db,
          audit,
          deployment: keys.deployment,
          sessionOfRecording,
          gatewaySignKey,
          sign: (payload, typ) => keys.broker.signJws(payload, typ),
          replayKey: keys.replay,
          now: () => clock.wall(),
        },
        { ...desk, trust },
        { folder: places.recordings, reserveBytes: places.reserveBytes },
      ),
  }
}

async function main(argv: string[]): Promise<number> {
  const [command, ...args] = argv
  switch (command) {
    case 'up':
      return await up(await settingsOf(args))
    case 'broker':
      return await brokerAlone(await settingsOf(args))
    case 'gateway':
      return await gateway(args)
    case 'verify':
      return await verifyCommand(args)
    case 'backup':
      return await saveBackup(args)
    case 'restore':
      return await putBack(args)
    case 'clock':
      return await confirmClock(args)
    case 'administrator':
      return await administrator(await settingsOf(args))
    case undefined:
    case 'help':
    case '--help':
    case '-h':
      console.log(USAGE)
      return command === undefined ? 2 : 0
    case '--version':
      console.log(VERSION)
      return 0
    default:
      console.error(`sallyport: there is no command "${command}".\n\n${USAGE}`)
      return 2
  }
}

async function settingsOf(args: string[]): Promise<Settings> {
  const { values } = parseArgs({ args, options: { config: { type: 'string' } } })
  return await readSettings(process.env, values.config)
}

function configOf(settings: Settings): BrokerConfig {
  const built = path.join(import.meta.dirname, 'dist', 'web')
  return {
    dataDir: settings.data,
    publicUrl: publicUrlOf(settings),
    deploymentName: settings.name,
    version: VERSION,
    web: { host: settings.webHost, port: settings.webPort },
    link: { host: settings.linkHost ?? '0.0.0.0', port: settings.linkPort },
    ...(settings.databaseUrl ? { ownerUrl: settings.databaseUrl } : {}),
    ...(settings.databaseAppUrl ? { appUrl: settings.databaseAppUrl } : {}),
    ...(settings.certificate && settings.certificateKey
      ? { certificate: { certificateFile: settings.certificate, keyFile: settings.certificateKey } }
      : {}),
    webDir: existsSync(built) ? built : null,
    providers: settings.providers,
    ...(settings.trustedProxies ? { trustedProxies: settings.trustedProxies } : {}),
    logger: pino({ level: settings.logLevel, base: null }, pino.destination(2)),
  }
}

async function start(settings: Settings, changes: Partial<BrokerConfig> = {}): Promise<RunningBroker> {
  try {
    return await startBroker(
      { ...configOf(settings), ...changes },
      rooms({
        recordings: settings.recordings ?? path.join(settings.data, 'recordings'),
        reserveBytes: settings.reserveBytes,
        ticketFolder: settings.ticketFolder ?? null,
      }),
    )
  } catch (error) {
    throw portFailure(error, settings) ?? error
  }
}

/** A port that cannot be had, as a sentence with the setting that moves it; null when the error is another one. */
function portFailure(error: unknown, settings: Settings): Failure | null {
  const { code, port } = error as { code?: unknown; port?: unknown }
  if ((code !== 'EADDRINUSE' && code !== 'EACCES') || typeof port !== 'number') return null
  const variable = port === settings.linkPort ? 'SALLYPORT_LINK_PORT' : 'SALLYPORT_WEB_PORT'
  return code === 'EADDRINUSE'
    ? new Failure(
        400,
        'port-in-use',
        `Port ${port} is in use by another program.`,
        `Stop that program (ss -ltnp shows it), or choose another port with ${variable}.`,
      )
    : new Failure(
        400,
        'port-not-allowed',
        `This user may not listen on port ${port}.`,
        `Choose a port above 1023 with ${variable} (and SALLYPORT_PUBLIC_PORT for a redirect before it), or let the service manager grant CAP_NET_BIND_SERVICE.`,
      )
}

async function up(settings: Settings): Promise<number> {
  const broker = await start(settings, {
    link: { host: settings.linkHost ?? '127.0.0.1', port: settings.linkPort },
  })
  const folder = settings.gatewayData ?? path.join(settings.data, 'gateway')
  const first = await broker.firstGateway({
    site: settings.site,
    timeZone: settings.timeZone,
    zone: 'Gateway zone',
    gateway: settings.gatewayName,
  })
  const enrolled = existsSync(folder)
  const child =
    first || enrolled
      ? superviseGateway(folder, {
          SALLYPORT_GATEWAY_DATA: folder,
          SALLYPORT_GATEWAY_NAME: settings.gatewayName,
          SALLYPORT_GATEWAY_BROKER: `https://127.0.0.1:${broker.link.port}`,
          SALLYPORT_LOG_LEVEL: settings.logLevel,
          ...(settings.gatewayReserveBytes === undefined
            ? {}
            : { SALLYPORT_GATEWAY_RESERVE_BYTES: String(settings.gatewayReserveBytes) }),
          ...(first ? { SALLYPORT_ENROLMENT_TOKEN: first.token } : {}),
        })
      : null
  await whereToGo(broker, settings)
  await untilAsked()
  await child?.stop()
  await broker.stop()
  return 0
}

async function brokerAlone(settings: Settings): Promise<number> {
  const broker = await start(settings)
  await whereToGo(broker, settings)
  await untilAsked()
  await broker.stop()
  return 0
}

/** A few lines on where to go. The set-up link is a secret; it is printed once, here, and nowhere logged. */
async function whereToGo(broker: RunningBroker, settings: Settings): Promise<void> {
  const lines = [`Sallyport ${VERSION} is at ${broker.origin.origin}`]
  if (broker.siteCa)
    lines.push(
      `  Browsers must trust its certificate authority first: ${broker.origin.origin}/trust shows how (QR code for a phone).`,
    )
  lines.push(`  Gateways dial in at port ${broker.link.port}.`)
  const admin = await broker.identity.ensureFirstAdministrator()
  if (admin) lines.push('', 'First administrator, one use, 24 hours:', `  ${admin.setUpLink}`)
  const handout = await handoutWaiting(settings.data)
  if (handout)
    lines.push(
      '',
      `The offline keys are still in ${handout}.`,
      '  Move each sheet to the place named on it, then destroy the file.',
    )
  console.log(`${lines.join('\n')}\n`)
}

async function gateway(args: string[]): Promise<number> {
  const { values } = parseArgs({
    args,
    options: { config: { type: 'string' }, replace: { type: 'boolean' } },
  })
  const settings = await readSettings(process.env, values.config)
  const dataDir = settings.gatewayData ?? path.join(settings.data, 'gateway')
  const token = process.env.SALLYPORT_ENROLMENT_TOKEN
  // Children and core dumps need not know it.
  delete process.env.SALLYPORT_ENROLMENT_TOKEN
  const log = pino({ level: settings.logLevel, base: { gateway: settings.gatewayName } }, pino.destination(2))
  if (token && (values.replace || !existsSync(identityPath(dataDir)))) {
    const [first, ...further] = settings.gatewayBroker ?? []
    if (!first)
      throw new Failure(
        400,
        'no-broker',
        'To enrol, the gateway must know its broker.',
        'Set SALLYPORT_GATEWAY_BROKER to the broker’s link address, like https://broker.plant.example:8444.',
      )
    await enrol({
      token,
      broker: first,
      brokers: further,
      dataDir,
      name: settings.gatewayName,
      ...(values.replace ? { replace: true } : {}),
    })
    log.info({ broker: first }, 'enrolled')
  }
  const running = await startGateway({
    dataDir,
    ...(settings.gatewayBroker ? { brokers: settings.gatewayBroker } : {}),
    ...(settings.gatewayReserveBytes === undefined ? {} : { reserveBytes: settings.gatewayReserveBytes }),
    log,
  })
  const why = await Promise.race([untilAsked(), untilAlone(), running.failed])
  await running.stop()
  if (process.connected) process.disconnect()
  if (why === undefined) return 0
  log.error({ why }, 'the gateway cannot go on')
  return 1
}

/**
 * This machine's gateway as a process of its own, without the broker's environment; started again when it ends. The
 * enrolment token is in its environment until it has enrolled and not a start longer.
 */
function superviseGateway(dataDir: string, settings: Record<string, string>): { stop(): Promise<void> } {
  let stopping = false
  let child: ChildProcess
  let waitMs = 500
  let again: NodeJS.Timeout | undefined
  const run = () => {
    if (existsSync(identityPath(dataDir))) delete settings.SALLYPORT_ENROLMENT_TOKEN
    const { PATH = '', HOME = '', LANG = '', TZ } = process.env
    child = spawn(process.execPath, [import.meta.filename, 'gateway'], {
      env: { PATH, HOME, LANG, ...(TZ === undefined ? {} : { TZ }), ...settings },
      // The channel carries nothing; its end tells the gateway that its broker was killed.
      stdio: ['ignore', 'inherit', 'inherit', 'ipc'],
    })
    const since = performance.now()
    child.on('error', (error) => console.error(`the gateway did not start: ${error.message}`))
    child.on('close', (code, signal) => {
      if (stopping) return
      waitMs = performance.now() - since > 60_000 ? 500 : Math.min(waitMs * 2, 15_000)
      console.error(
        `the gateway ended (${signal ?? code}); starting it again in ${Math.round(waitMs / 1000)} s`,
      )
      again = setTimeout(run, waitMs)
    })
  }
  run()
  return {
    async stop() {
      stopping = true
      clearTimeout(again)
      if (child.exitCode !== null || child.signalCode !== null) return
      const ended = new Promise((resolve) => child.once('close', resolve))
      child.kill('SIGTERM')
      const hard = setTimeout(() => child.kill('SIGKILL'), 15_000)
      await ended
      clearTimeout(hard)
    },
  }
}

async function saveBackup(args: string[]): Promise<number> {
  const { values } = parseArgs({ args, options: { config: { type: 'string' }, to: { type: 'string' } } })
  if (!values.to) throw usage('backup needs --to FOLDER.')
  const settings = await readSettings(process.env, values.config)
  const passphrase = await passphraseOf()
  const saved = await backup({
    dataDir: settings.data,
    to: path.resolve(values.to),
    ...(passphrase ? { passphrase } : {}),
    ...(settings.databaseUrl ? { ownerUrl: settings.databaseUrl } : {}),
    recordingsDir: settings.recordings ?? path.join(settings.data, 'recordings'),
    now: Date.now,
  })
  console.log(`Saved deployment ${saved.deployment} to ${values.to}.`)
  if (!passphrase)
    console.log(
      'Private keys are not in it: set SALLYPORT_PASSPHRASE_FILE to include them, sealed to a passphrase.',
    )
  return 0
}

async function putBack(args: string[]): Promise<number> {
  const { values } = parseArgs({
    args,
    options: {
      config: { type: 'string' },
      from: { type: 'string' },
      confirm: { type: 'boolean' },
      'newer-checkpoints': { type: 'string' },
      'root-sheet': { type: 'string' },
    },
  })
  const settings = await readSettings(process.env, values.config)
  if (values.confirm) return await confirmRestore(settings)
  if (!values.from) throw usage('restore needs --from FOLDER, or --confirm.')
  const passphrase = await passphraseOf()
  const sheet = values['root-sheet']
  const root = sheet === undefined ? null : rootFromHandout(await readFile(sheet, 'utf8'))
  if (sheet !== undefined && !root) throw usage(`${sheet} holds no root key sheet.`)
  const done = await restore({
    from: path.resolve(values.from),
    dataDir: settings.data,
    ...(passphrase ? { passphrase } : {}),
    ...(settings.databaseUrl ? { ownerUrl: settings.databaseUrl } : {}),
    ...(values['newer-checkpoints'] ? { newerCheckpoints: path.resolve(values['newer-checkpoints']) } : {}),
    ...(root ? { root: new Secret(root) } : {}),
    now: Date.now,
  })
  console.log(`Restored deployment ${done.deployment}: ${done.logSize} audit entries.`)
  if (done.newEpoch !== null)
    console.log(`${done.lostEntries} entries were lost; log epoch ${done.newEpoch} begins, and says so.`)
  console.log(
    'No new session opens until an administrator has confirmed on the health page that what was revoked since was revoked again.',
  )
  return 0
}

/** What was revoked since the restored backup was revoked again. The broker must not be running. */
async function confirmRestore(settings: Settings): Promise<number> {
  const broker = await start(settings, {
    web: { host: '127.0.0.1', port: 0 },
    link: { host: '127.0.0.1', port: 0 },
  })
  try {
    const taken = await broker.confirmRestore()
    console.log(taken ? 'Confirmed. New sessions may open again.' : 'There is no restore to confirm.')
    return taken ? 0 : 1
  } finally {
    await broker.stop()
  }
}

async function passphraseOf(): Promise<Secret | null> {
  const file = process.env.SALLYPORT_PASSPHRASE_FILE
  if (!file) return null
  return new Secret((await readFile(file, 'utf8')).replace(/\r?\n$/, ''))
}

/** The link of the first start was lost or ran out: prints another. The broker must not be running. */
async function administrator(settings: Settings): Promise<number> {
  const broker = await start(settings, {
    web: { host: '127.0.0.1', port: 0 },
    link: { host: '127.0.0.1', port: 0 },
  })
  try {
    const made = await broker.identity.ensureFirstAdministrator()
    console.log(
      made
        ? `First administrator, one use, 24 hours:\n  ${made.setUpLink}`
        : 'An administrator has signed in already. Administrators make set-up links for others on the people page.',
    )
    return made ? 0 : 1
  } finally {
    await broker.stop()
  }
}

/** The way out of `behind-mark`, when the clock once stood in the future. The broker must not be running. */
async function confirmClock(args: string[]): Promise<number> {
  const { values } = parseArgs({
    args,
    options: { config: { type: 'string' }, confirm: { type: 'boolean' } },
  })
  if (!values.confirm) throw usage('clock needs --confirm.')
  const broker = await start(await readSettings(process.env, values.config), {
    web: { host: '127.0.0.1', port: 0 },
    link: { host: '127.0.0.1', port: 0 },
  })
  try {
    const taken = await broker.confirmClock()
    console.log(
      taken
        ? `${new Date().toISOString()} is the time from here on. New sessions may open again.`
        : 'The clock and the database’s are more than 30 s apart. Put them right first.',
    )
    return taken ? 0 : 1
  } finally {
    await broker.stop()
  }
}

/**
 * Settles when the process that runs this one (`up`) is gone: the next start brings its own gateway, and two must never
 * work in one folder. Never settles for a gateway that runs by itself.
 */
function untilAlone(): Promise<undefined> {
  return new Promise((resolve) => {
    process.once('disconnect', () => resolve(undefined))
    // It may have gone while this one was starting.
    if (process.connected === false) resolve(undefined)
  })
}

/** Settles when the process is asked to end. A second request ends it at once. */
function untilAsked(): Promise<undefined> {
  return new Promise((resolve) => {
    const asked = (signal: NodeJS.Signals) => {
      console.error(`${signal}: stopping`)
      resolve(undefined)
    }
    process.once('SIGINT', asked)
    process.once('SIGTERM', asked)
  })
}

function usage(message: string): Failure {
  return new Failure(400, 'usage', message, 'sallyport help shows all commands.')
}

if (import.meta.main) {
  try {
    process.exitCode = await main(process.argv.slice(2))
  } catch (error) {
    const known = error instanceof Failure || error instanceof EnrolFailure
    const { code } = error as { code?: unknown }
    if (known)
      console.error(`sallyport: ${error.message}${error instanceof Failure ? `\n${error.next}` : ''}`)
    else if (typeof code === 'string') console.error(`sallyport: ${(error as Error).message} (${code})`)
    else console.error(error)
    process.exitCode = 2
  }
  // Whatever is left open must not keep a stopped process alive.
  setTimeout(() => process.exit(), 2_000).unref()
}
