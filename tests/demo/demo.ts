/**
 * `npm run demo`: a whole small plant to click through, on http://localhost. Broker, gateway, database, recorder and
 * pages are the product's own; what is the demo's stands in this folder: an identity provider with one-click people,
 * engineering stations and an operator panel to reach, and a software passkey in the page. The product can't switch any of it on.
 */
import { cp, mkdtemp, readFile, rm, writeFile } from 'node:fs/promises'
import { createServer } from 'node:net'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { build } from 'esbuild'
import WebSocket from 'ws'
import { TERMINAL_PROTOCOL, TICKET_PROTOCOL_PREFIX } from '../../broker/contract/terminal.ts'
import { Secret } from '../../broker/domain/secret.ts'
import type { ApiClient } from '../lab/api-client.ts'
import { type LabPerson, startOidcProvider } from '../lab/oidc-provider.ts'
import { inDays, type LabPlant, startPlant } from '../lab/plant.ts'
import type { SoftwareCredential } from '../lab/software-authenticator.ts'
import { until } from '../lab/until.ts'
import { xrdpMachineMissing } from '../lab/xrdp-machine.ts'
import { MACHINES, type Machine, PLC_STATION, startMachine } from './machines.ts'
import { signInWithProvider } from './oidc-sign-in.ts'

const PORT = Number(process.env.DEMO_PORT ?? 8080)
const PROVIDER = 'demo'
const SITE = 'Body shop Graz'
const VENDOR = 'Krantz Robotics'

const person = (sub: string, name: string, company: string, group: string, title: string): LabPerson => ({
  sub,
  name,
  email: `${sub}@${company}.example`,
  company,
  groups: [group],
  title,
})
const PEOPLE: readonly LabPerson[] = [
  person('vera', 'Vera Kowalski', 'krantz', 'engineers', 'Vendor engineer, Krantz Robotics'),
  person('max', 'Max Huber', 'plant', 'managers', 'Plant manager: approves'),
  person('ines', 'Ines Okafor', 'plant', 'managers', 'Shift lead: approves'),
  person('oleg', 'Oleg Brandt', 'plant', 'control-room', 'Operator: sees who is inside'),
  person('anna', 'Anna Weiss', 'plant', 'auditors', 'Auditor: replays and verifies'),
  person('ada', 'Ada Novak', 'plant', 'administrators', 'Administrator'),
]

const RDP_TOUR = `     And one to paint line 1, an engineering station over RDP: say which keyboard you have; press e, type 8 and Enter, then
     d to load it to the controller.
`

const say = (text: string) => console.log(text)

async function demo(): Promise<void> {
  const folder = await mkdtemp(join(tmpdir(), 'sallyport-demo-'))
  say('Starting a small plant …')
  const noRdp = xrdpMachineMissing()
  if (noRdp)
    say(`Without its engineering station over RDP (${noRdp}). The demo installs nothing, and goes on.`)
  await mustBeFree(PORT)
  const origin = `http://localhost:${PORT}`
  const clientSecret = crypto.randomUUID()
  const identityProvider = await startOidcProvider({
    clientId: 'sallyport-demo',
    clientSecret,
    redirectUri: `${origin}/auth/oidc/${PROVIDER}/callback`,
    people: PEOPLE,
    forgetful: true,
  })
  const webDir = join(folder, 'web')
  await cp(join(import.meta.dirname, '..', '..', 'dist', 'web'), webDir, { recursive: true })
  const role = (name: 'vendor' | 'approver' | 'operator' | 'auditor' | 'administrator') => [
    { role: name, site: SITE },
  ]
  const plant = await startPlant({
    http: true,
    port: PORT,
    webDir,
    dataDir: folder,
    names: {
      deployment: 'Sallyport demo',
      site: SITE,
      timeZone: 'Europe/Vienna',
      zone: 'Robot cells',
      vendor: VENDOR,
    },
    providers: [
      {
        id: PROVIDER,
        name: 'company sign-in (demo)',
        issuer: identityProvider.issuer,
        clientId: 'sallyport-demo',
        clientSecret: new Secret(clientSecret),
        allowHttpLocalhost: true,
        mapping: {
          organisationClaim: 'company',
          organisations: { plant: 'staff', krantz: { vendor: VENDOR } },
          rolesClaim: 'groups',
          roles: {
            engineers: role('vendor'),
            managers: role('approver'),
            'control-room': role('operator'),
            auditors: role('auditor'),
            administrators: [{ role: 'administrator', site: null }],
          },
        },
      },
    ],
    broker: { limits: { signIn: { burst: 200, perSecond: 20 } } },
  })

  say('Filling it: people, machines, tickets, work …')
  const clients = new Map<string, ApiClient>()
  const passkeys: SoftwareCredential[] = []
  for (const { sub } of PEOPLE) {
    const client = plant.client()
    await signInWithProvider(client, PROVIDER, sub)
    clients.set(sub, client)
  }
  for (const sub of ['max', 'ines']) {
    const client = mustHave(clients, sub)
    const begun = await client.call('POST /api/me/passkeys/options', { body: {} })
    const attestation = await client.passkey.create(begun.options as never)
    await client.call('POST /api/me/passkeys', {
      body: { challengeId: begun.challengeId, attestation: { ...attestation }, label: 'Demo phone' },
    })
    await plant.confirmPasskeys((await client.me()).person.id)
    passkeys.push(...client.passkey.credentials)
  }
  const vera = mustHave(clients, 'vera')
  await plant.admin.call('PATCH /api/people/:id', {
    params: { id: (await vera.me()).person.id },
    body: { trainingValidUntil: inDays(120), accountEndsAt: inDays(300), reason: 'safety training on site' },
  })
  await servePasskeys(webDir, passkeys)
  const stations = await machines(plant, noRdp ? MACHINES : [...MACHINES, PLC_STATION])
  await work(plant, clients, stations)

  say(`
Ready: ${origin}

A tour of three minutes (use a private window for each person, or sign out in between):

  1  Sign in as Vera Kowalski, the vendor's engineer. "My work" has an approved visit to robot cell 4:
     open it, accept the notice, type "help", "monitor", "firmware load".
     There is one to mixing station 3 too, a desktop: click STOP and START on its panel, + and - for the level.
${noRdp ? '' : RDP_TOUR}  2  Sign in as Max Huber, plant manager, in a narrow window. "Decide" has a request for the press line: read the
     card, narrow it or approve it. The passkey is a software one here; the signature is real.
  3  Sign in as Oleg Brandt, operator. "Inside now" shows Vera: watch, hold, stop (press and hold for a second).
  4  Sign in as Anna Weiss, auditor. Play a session, jump through its text, verify it, take the package away.
  5  Sign in as Ada Novak, administrator: machines, people, gateways and health.

Ctrl-C ends it and removes everything it made.`)

  const stop = async () => {
    await plant.stop()
    await identityProvider.close()
    for (const station of stations) await station.stop()
    await rm(folder, { recursive: true, force: true })
    process.exit(0)
  }
  process.once('SIGINT', () => void stop())
  process.once('SIGTERM', () => void stop())
}

/** A copy of the built pages with the software passkey put before them. The product's own build stays as it is. */
async function servePasskeys(webDir: string, passkeys: readonly SoftwareCredential[]): Promise<void> {
  await build({
    entryPoints: [join(import.meta.dirname, 'browser-authenticator.ts')],
    outfile: join(webDir, 'demo-passkey.js'),
    bundle: true,
    format: 'iife',
    target: 'es2022',
    banner: { js: `window.sallyportDemoPasskeys = ${JSON.stringify(passkeys)};` },
    logLevel: 'warning',
  })
  const index = join(webDir, 'index.html')
  const html = await readFile(index, 'utf8')
  await writeFile(index, html.replace('<head>', '<head>\n    <script src="/demo-passkey.js"></script>'))
  await rm(`${index}.gz`, { force: true })
  await rm(`${index}.br`, { force: true })
}

interface Station {
  name: string
  endpointId: string
  user: string
  stop(): Promise<void>
}

async function machines(plant: LabPlant, all: readonly Machine[]): Promise<Station[]> {
  const stations: Station[] = []
  for (const machine of all) {
    const { target, stop } = await startMachine(machine)
    const { endpointId } = await plant.asset({ ...machine, target })
    stations.push({ name: machine.name, endpointId, user: target.user, stop })
  }
  const hours = (count: number) => count * 3_600_000
  await plant.ticket('CHG-1042', ['Robot cell 4'], {
    title: 'Gripper program, cell 4',
    fromMs: -hours(2),
    toMs: hours(10),
  })
  await plant.ticket('CHG-1047', ['Press line 2'], {
    title: 'Firmware 4.3.0, press line 2',
    fromMs: -hours(1),
    toMs: hours(30),
  })
  await plant.ticket('CHG-1050', ['Test bench', 'Robot cell 4'], {
    title: 'Try-out on the test bench',
    fromMs: -hours(1),
    toMs: hours(72),
  })
  await plant.ticket('CHG-1055', ['Mixing station 3'], {
    title: 'Level control, mixing station 3',
    fromMs: -hours(1),
    toMs: hours(10),
  })
  await plant.ticket('CHG-1061', [PLC_STATION.name], {
    title: 'Booth timer, paint line 1',
    fromMs: -hours(1),
    toMs: hours(10),
  })
  return stations
}

async function work(
  plant: LabPlant,
  clients: Map<string, ApiClient>,
  stations: readonly Station[],
): Promise<void> {
  const vera = mustHave(clients, 'vera')
  const max = mustHave(clients, 'max')
  const ask = async (name: string, key: string, purpose: string, fromMs: number, toMs: number) => {
    const station = stations.find((one) => one.name === name)
    if (!station) throw new Error(`there is no ${name}`)
    return vera.call('POST /api/requests', {
      body: {
        endpointId: station.endpointId,
        account: station.user,
        features: ['clipboard-copy'],
        purpose,
        ticket: { system: 'file', key },
        window: {
          opensAt: new Date(Date.now() + fromMs).toISOString(),
          closesAt: new Date(Date.now() + toMs).toISOString(),
        },
      },
    })
  }
  const minutes = (count: number) => count * 60_000
  const bench = await ask(
    'Test bench',
    'CHG-1050',
    'Read out the controller before the change',
    -minutes(1),
    minutes(60),
  )
  await max.decide(bench.id, 'granted')
  await visit(plant, vera, bench.id)
  const cell = await ask(
    'Robot cell 4',
    'CHG-1042',
    'Replace the gripper program of robot 4',
    -minutes(1),
    minutes(240),
  )
  await max.decide(cell.id, 'granted')
  const panel = await ask(
    'Mixing station 3',
    'CHG-1055',
    'Tune the level control of tank T-301',
    -minutes(1),
    minutes(240),
  )
  await max.decide(panel.id, 'granted')
  if (stations.some(({ name }) => name === PLC_STATION.name)) {
    const line = await ask(
      PLC_STATION.name,
      'CHG-1061',
      'Give the spray booth 8 seconds to clear',
      -minutes(1),
      minutes(240),
    )
    await max.decide(line.id, 'granted')
  }
  await ask(
    'Press line 2',
    'CHG-1047',
    'Load firmware 4.3.0 and check the axis limits',
    minutes(5),
    minutes(125),
  )
}

/** One finished visit, so that the auditor has something to replay. */
async function visit(plant: LabPlant, vera: ApiClient, requestId: string): Promise<void> {
  const notice = await vera.call('GET /api/requests/:id/notice', { params: { id: requestId } })
  const opening = await vera.call('POST /api/requests/:id/session', {
    params: { id: requestId },
    body: { noticeVersion: notice.version },
  })
  const socket = new WebSocket(
    `${plant.origin.replace('http', 'ws')}${opening.socket}`,
    [TERMINAL_PROTOCOL, `${TICKET_PROTOCOL_PREFIX}${opening.ticket}`],
    { headers: { cookie: vera.cookieHeader(), origin: plant.origin }, perMessageDeflate: false },
  )
  let screen = ''
  socket.on('message', (data, binary) => {
    if (binary) screen += String(data)
  })
  await new Promise<void>((resolve, reject) => {
    socket.once('open', resolve)
    socket.once('error', reject)
  })
  const shown = (text: string) => until(() => screen.includes(text), `"${text}" on the screen`, 20_000)
  const type = async (text: string) => {
    for (const key of text) {
      socket.send(Buffer.from(key))
      await new Promise((done) => setTimeout(done, 25))
    }
  }
  socket.send(JSON.stringify({ type: 'start', cols: 100, rows: 30 }))
  await shown('for the commands.')
  for (const [command, answer] of [
    ['status', 'gripper'],
    ['ls', 'alarms.log'],
    ['cat alarms.log', 'shift change'],
    ['monitor', 'cycle 6'],
  ] as const) {
    await type(`${command}\r`)
    await shown(answer)
  }
  await type('q')
  await type('firmware\r')
  await shown('available 4.3.0')
  const closed = new Promise((done) => socket.once('close', done))
  socket.send(JSON.stringify({ type: 'leave' }))
  await closed
  await vera.call('POST /api/sessions/:id/closing-note', {
    params: { id: opening.sessionId },
    body: { text: 'Read out the state, changed nothing.' },
  })
}

function mustHave(clients: Map<string, ApiClient>, sub: string): ApiClient {
  const client = clients.get(sub)
  if (!client) throw new Error(`nobody is called ${sub}`)
  return client
}

async function mustBeFree(port: number): Promise<void> {
  const probe = createServer()
  await new Promise<void>((resolve, reject) => {
    probe.once('error', () =>
      reject(
        new Error(`Port ${port} is taken. End what uses it, or choose another: DEMO_PORT=8090 npm run demo`),
      ),
    )
    probe.listen(port, '127.0.0.1', () => probe.close(() => resolve()))
  })
}

await demo().catch((error: unknown) => {
  console.error(`The demo could not start: ${error instanceof Error ? error.message : String(error)}`)
  process.exit(1)
})
