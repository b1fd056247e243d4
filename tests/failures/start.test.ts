import { existsSync } from 'node:fs'
import { chmod, chown, mkdtemp, readdir, readFile, rm, stat, writeFile } from 'node:fs/promises'
import { connect, createServer, type Server } from 'node:net'
import { tmpdir } from 'node:os'
import path from 'node:path'
import QRCode from 'qrcode'
import { afterAll, afterEach, beforeAll, describe, expect, it } from 'vitest'
import { publicOrigin } from '../../broker/http/origin.ts'
import { issueServerCertificate, makeSiteCa } from '../../broker/http/site-ca.ts'
import { publicUrlOf, readSettings } from '../../broker/settings.ts'
import { reachable } from '../../broker/store/postgres-binaries.ts'
import { ApiClient } from '../lab/api-client.ts'
import { freePort } from '../lab/free-port.ts'
import { labMode } from '../lab/lab.ts'
import { until } from '../lab/until.ts'
import { commandOf, MAIN, NODE, running, type SallyportProcess, startSallyport } from './sallyport-process.ts'

const NAME = 'access.plant.example'
const ORDINARY = { uid: 65_534, gid: 65_534 }

interface Place {
  data: string
  web: number
  link: number
  env: Record<string, string>
}

const folders: string[] = []
const alive: SallyportProcess[] = []

async function place(uid?: number): Promise<Place> {
  const folder = await mkdtemp(path.join(tmpdir(), 'sallyport-start-'))
  folders.push(folder)
  // The database runs as another user when the tests are root; what it may not reach would go to /var/lib and stay.
  await chmod(folder, 0o711)
  if (uid !== undefined) await chown(folder, uid, uid)
  const [web, link] = [await freePort(), await freePort()]
  const data = path.join(folder, 'data')
  return {
    data,
    web,
    link,
    env: {
      SALLYPORT_DATA: data,
      SALLYPORT_PUBLIC_NAME: NAME,
      SALLYPORT_WEB_PORT: String(web),
      SALLYPORT_LINK_PORT: String(link),
      SALLYPORT_RESERVE_BYTES: '1048576',
      SALLYPORT_GATEWAY_RESERVE_BYTES: '1048576',
      SALLYPORT_SITE: 'Body shop Graz',
      SALLYPORT_TIME_ZONE: 'Europe/Vienna',
      SALLYPORT_LOG_LEVEL: 'warn',
    },
  }
}

function up(of: Place, options: { uid?: number; env?: Record<string, string> } = {}): SallyportProcess {
  const started = startSallyport(['up'], {
    env: { ...of.env, ...options.env },
    ...(options.uid === undefined ? {} : { uid: options.uid }),
  })
  alive.push(started)
  return started
}

/** By the certificate on the administrator's disk, as a phone would get it on paper first. */
async function client(of: Place, ca?: string): Promise<ApiClient> {
  return new ApiClient(`https://${NAME}:${of.web}`, {
    ca: ca ?? (await readFile(path.join(of.data, 'tls', 'ca.crt'), 'utf8')),
    connectTo: { host: '127.0.0.1', port: of.web },
  })
}

const setUpLink = (words: string) => /https:\S+\/set-up\S*#\S+/.exec(words)?.[0] ?? null

function dialable(port: number): Promise<boolean> {
  return new Promise((done) => {
    const socket = connect(port, '127.0.0.1')
    socket.once('connect', () => {
      socket.destroy()
      done(true)
    })
    socket.once('error', () => done(false))
  })
}

const someRun = async (pids: readonly number[]) => (await Promise.all(pids.map(running))).includes(true)

async function named(pids: readonly number[], words: string): Promise<number[]> {
  const commands = await Promise.all(pids.map(commandOf))
  return pids.filter((_, n) => commands[n]?.includes(words))
}

async function everythingIsGone(pids: readonly number[], of: Place): Promise<void> {
  await until(async () => !(await someRun(pids)), 'all processes gone', 10_000)
  expect(await dialable(of.web)).toBe(false)
  expect(await dialable(of.link)).toBe(false)
}

afterEach(async () => {
  await Promise.all(alive.splice(0).map((one) => one.stop()))
})
afterAll(async () => {
  for (const folder of folders) await rm(folder, { recursive: true, force: true })
})

/** Why this user cannot be tried here, or null. */
async function unable(uid: number | undefined): Promise<string | null> {
  const me = process.getuid?.()
  let why: string | null = null
  if (uid === undefined) why = me === 0 ? null : 'the tests do not run as root'
  else if (me !== 0) why = 'only root can become another user'
  else if (!(await reachable(path.dirname(MAIN), ORDINARY)))
    why = 'the checkout lies below a folder that other users may not enter'
  if (why && labMode() === 'required' && uid === undefined) throw new Error(`the lab is required, but ${why}`)
  return why
}

const users = await Promise.all(
  [
    { who: 'root', uid: undefined },
    { who: 'an ordinary user', uid: ORDINARY.uid },
  ].map(async (one) => ({ ...one, why: await unable(one.uid) })),
)

for (const { who, uid, why } of users)
  describe.skipIf(why !== null)(`the first start as ${who}${why ? ` (skipped: ${why})` : ''}`, () => {
    let at: Place
    const as = uid === undefined ? {} : { uid }
    beforeAll(async () => {
      at = await place(uid)
    })

    it('says where to go, lets the first administrator in once, and stays the same deployment', async () => {
      const first = up(at, as)
      await first.says('First administrator')
      await first.says('OFFLINE-KEYS.txt')
      const words = first.stdout()
      expect(words).toContain(`is at https://${NAME}:${at.web}`)
      expect(words).toContain(`https://${NAME}:${at.web}/trust`)
      expect(words).toContain(`Gateways dial in at port ${at.link}`)
      const link = setUpLink(words)
      if (!link) throw new Error(`no set-up link in:\n${words}`)
      // The link is a secret: it is in nothing that a service manager keeps as the log.
      expect(first.stderr()).not.toContain(new URL(link).hash.slice(1))

      // Nothing that opens doors is open to other users of the machine.
      expect((await stat(at.data)).mode & 0o066).toBe(0)
      const sheet = path.join(at.data, 'OFFLINE-KEYS.txt')
      expect((await stat(sheet)).mode & 0o777).toBe(0o600)
      for (const file of await readdir(path.join(at.data, 'keys')))
        if (file.endsWith('.key') || file.endsWith('.jwk'))
          expect((await stat(path.join(at.data, 'keys', file))).mode & 0o077, file).toBe(0)

      // Broker, gateway and database are processes of their own; the database is never root.
      await until(async () => (await named(await first.tree(), 'main.ts gateway')).length === 1, 'a gateway')
      const tree = await first.tree()
      const [postgres] = await named(tree, '/bin/postgres')
      expect((await stat(`/proc/${postgres}`)).uid).toBe(ORDINARY.uid)
      const [gateway] = await named(tree, 'main.ts gateway')
      const environment = await readFile(`/proc/${gateway}/environ`, 'utf8')
      expect(environment).not.toContain('DATABASE')

      const admin = await client(at)
      const { person } = await admin.setUp(link)
      expect(person.name).toBeTruthy()
      // One use.
      const thief = await client(at)
      await expect(thief.setUp(link)).rejects.toThrow()
      await until(
        async () => (await admin.call('GET /api/gateways', {}))[0]?.state === 'online',
        'the gateway is online',
        20_000,
      )
      // Started again it is not given the token that it has used.
      if (gateway === undefined) throw new Error('no gateway process')
      process.kill(gateway, 'SIGKILL')
      const others = async () =>
        (await named(await first.tree(), 'main.ts gateway')).filter((pid) => pid !== gateway)
      await until(async () => (await others()).length === 1, 'another gateway process', 20_000)
      const respawned = await readFile(`/proc/${(await others())[0]}/environ`, 'utf8')
      expect(respawned).toContain('SALLYPORT_GATEWAY_DATA')
      expect(respawned).not.toContain('SALLYPORT_ENROLMENT_TOKEN')
      expect((await admin.call('GET /api/sites', {}))[0]).toMatchObject({
        name: 'Body shop Graz',
        timeZone: 'Europe/Vienna',
      })
      const trust = (await (await client(at)).fetch('GET', '/api/trust')).body as Record<string, unknown>
      const certificate = await readFile(path.join(at.data, 'tls', 'ca.crt'), 'utf8')

      const whole = await first.tree()
      expect(await first.stop()).toBe(0)
      await everythingIsGone(whole, at)

      // Again on the same data: no second administrator's link, the keys are the same. The sheets are asked about while
      // they lie there; put away, they are never written again.
      const putAway = uid !== undefined
      if (putAway) await rm(sheet)
      const second = up(at, as)
      await second.says(putAway ? `Gateways dial in at port ${at.link}.\n\n` : 'OFFLINE-KEYS.txt')
      expect(second.stdout().includes('offline keys')).toBe(!putAway)
      expect(existsSync(sheet)).toBe(!putAway)
      expect(second.stdout()).not.toContain('First administrator')
      expect(setUpLink(second.stdout())).toBeNull()
      await admin.signIn()
      await until(
        async () => (await admin.call('GET /api/gateways', {}))[0]?.state === 'online',
        'the gateway is online again, without a new token',
        20_000,
      )
      expect(await admin.call('GET /api/gateways', {})).toHaveLength(1)
      expect(await readFile(path.join(at.data, 'tls', 'ca.crt'), 'utf8')).toBe(certificate)
      const again = (await (await client(at)).fetch('GET', '/api/trust')).body as Record<string, unknown>
      expect(again).toEqual(trust)
      const last = await second.tree()
      expect(await second.stop('SIGINT')).toBe(0)
      await everythingIsGone(last, at)
    })
  })

describe('what is refused at the start', () => {
  let at: Place
  beforeAll(async () => {
    at = await place()
  })
  const refused = async (env: Record<string, string>) => {
    const started = up(at, { env })
    const code = await started.ended()
    expect(started.stdout()).toBe('')
    return { code, words: started.stderr() }
  }

  it('an IP address as the public name, with the reason', async () => {
    const { code, words } = await refused({ SALLYPORT_PUBLIC_NAME: '2001:db8::10' })
    expect(code).toBe(2)
    expect(words).toContain('is an IP address. Browsers refuse passkeys there')
    expect(words).toContain('DNS name that the plant resolves')
    expect(words).not.toContain('    at ')
    expect(existsSync(at.data)).toBe(false)
    for (const publicName of ['192.168.1.10', '10.0.0.1', '2001:db8::10', '127.0.0.1']) {
      const settings = await readSettings({ SALLYPORT_PUBLIC_NAME: publicName })
      expect(() => publicOrigin(publicUrlOf(settings)), publicName).toThrow('is an IP address')
    }
  })

  it('a variable that is no setting, and values that are none, each by its name', async () => {
    const typo = await refused({ SALLYPORT_WEBPORT: '8443' })
    expect(typo.code).toBe(2)
    expect(typo.words).toContain('SALLYPORT_WEBPORT is not a setting.')
    expect(typo.words).toContain('docs/operations/settings.md')
    expect(existsSync(at.data)).toBe(false)
    await expect(readSettings({ SALLYPORT_WEB_PORT: '99999', SALLYPORT_LOG_LEVEL: 'loud' })).rejects.toThrow(
      /webPort[\s\S]*logLevel|logLevel[\s\S]*webPort/,
    )
    await expect(readSettings({ SALLYPORT_TIME_ZONE: 'Mars/Olympus' })).rejects.toThrow('IANA time zone')
    await expect(readSettings({ DATABASE_URL: '' })).rejects.toThrow('DATABASE_URL is empty')
    await expect(readSettings({ SALLYPORT_CERTIFICATE: '/nowhere.pem' })).rejects.toThrow('belong together')
  })

  it('nothing of the demo is a setting', async () => {
    for (const variable of ['SALLYPORT_DEMO', 'SALLYPORT_ALLOW_HTTP_LOCALHOST', 'SALLYPORT_PUBLIC_URL'])
      await expect(readSettings({ [variable]: '1' })).rejects.toThrow(`${variable} is not a setting.`)
  })

  it('a port that somebody else holds: which one, and what to do; nothing is left running', async () => {
    await Promise.all(
      (['web', 'link'] as const).map(async (which) => {
        const own = await place()
        const holder = createServer()
        await listen(holder, own[which])
        try {
          const started = up(own)
          await until(async () => (await started.tree()).length > 1, 'it has got to its database', 60_000)
          const tree = await started.tree()
          expect(await started.ended()).toBe(2)
          const words = started.stderr()
          expect(words).toContain(`Port ${own[which]} is in use`)
          expect(words).toContain(which === 'web' ? 'SALLYPORT_WEB_PORT' : 'SALLYPORT_LINK_PORT')
          expect(words).not.toContain('    at ')
          await until(async () => !(await someRun(tree)), 'nothing left', 10_000)
        } finally {
          await new Promise((done) => holder.close(done))
        }
      }),
    )
  })

  it('a data folder that another one uses', async () => {
    const own = await place()
    const first = up(own)
    await first.says('Gateways dial in')
    const second = startSallyport(['up'], {
      env: {
        ...own.env,
        SALLYPORT_WEB_PORT: String(await freePort()),
        SALLYPORT_LINK_PORT: String(await freePort()),
      },
    })
    expect(await second.ended()).toBe(2)
    expect(second.stderr()).toContain(`is in use by process ${first.pid}`)
    // The first one has not noticed.
    expect((await (await client(own)).fetch('GET', '/healthz')).status).toBe(200)
    // Killed: its gateway ends by itself, its database is taken over at the next start. Neither is left running.
    await until(async () => (await named(await first.tree(), 'main.ts gateway')).length === 1, 'its gateway')
    const tree = await first.tree()
    const gateway = (await named(tree, 'main.ts gateway'))[0] ?? -1
    await until(() => existsSync(path.join(own.data, 'gateway', 'identity')), 'it has enrolled', 30_000)
    expect(await running(gateway)).toBe(true)
    await first.stop('SIGKILL')
    await until(async () => !(await running(gateway)), 'its gateway has ended', 20_000)
    const third = up(own)
    await third.says('Gateways dial in')
    await until(async () => !(await someRun(tree)), 'the old ones are gone', 20_000)
    expect((await (await client(own)).fetch('GET', '/healthz')).status).toBe(200)
  })
})

describe('certificates', () => {
  it('its own CA comes to a phone by a page and a QR code', async () => {
    const at = await place()
    const started = up(at)
    await started.says('/trust shows how')
    const browser = await client(at)
    const page = await browser.fetch('GET', '/trust')
    expect(page.status).toBe(200)
    const text = String(page.body)
    const download = `https://${NAME}:${at.web}/trust/ca.crt`
    // The picture is that of exactly this address.
    const code = await QRCode.toDataURL(download, { errorCorrectionLevel: 'M', margin: 2, width: 260 })
    expect(text).toContain(`src="${code}"`)
    expect(text).toContain(`href="${download}"`)
    expect(String(page.headers['content-security-policy'])).toContain("img-src 'self' data:")
    const file = await browser.fetch('GET', '/trust/ca.crt')
    expect(file.raw.toString()).toBe(await readFile(path.join(at.data, 'tls', 'ca.crt'), 'utf8'))
    expect(file.headers['content-type']).toBe('application/x-x509-ca-cert')
    const { X509Certificate } = await import('node:crypto')
    expect(text).toContain(new X509Certificate(file.raw).fingerprint256)
  })

  it('a supplied certificate is used, and a wrong one refused with the reason', async () => {
    const at = await place()
    const folder = path.dirname(at.data)
    const authority = await makeSiteCa([NAME], Date.now())
    const server = await issueServerCertificate(authority, [NAME], Date.now())
    const files = {
      SALLYPORT_CERTIFICATE: path.join(folder, 'server.pem'),
      SALLYPORT_CERTIFICATE_KEY: path.join(folder, 'server.key'),
    }
    await writeFile(files.SALLYPORT_CERTIFICATE, server.certificate)
    await writeFile(files.SALLYPORT_CERTIFICATE_KEY, server.key, { mode: 0o600 })
    const started = up(at, { env: files })
    await started.says('Gateways dial in')
    expect(started.stdout()).not.toContain('/trust')
    expect(existsSync(path.join(at.data, 'tls'))).toBe(false)
    const browser = await client(at, authority.certificate)
    expect((await browser.fetch('GET', '/healthz')).status).toBe(200)
    expect((await browser.fetch('GET', '/trust')).status).toBe(404)
    // Who does not know the authority gets nothing.
    const stranger = new ApiClient(`https://${NAME}:${at.web}`, {
      connectTo: { host: '127.0.0.1', port: at.web },
    })
    await expect(stranger.fetch('GET', '/healthz')).rejects.toThrow()
    await started.stop()

    const wrong = up(at, { env: { ...files, SALLYPORT_PUBLIC_NAME: 'other.plant.example' } })
    expect(await wrong.ended()).toBe(2)
    expect(wrong.stderr()).toContain('is not for other.plant.example')
    await writeFile(
      files.SALLYPORT_CERTIFICATE_KEY,
      (await issueServerCertificate(authority, [NAME], Date.now())).key,
    )
    const unpaired = up(at, { env: files })
    expect(await unpaired.ended()).toBe(2)
    expect(unpaired.stderr()).not.toContain('    at ')
    expect(unpaired.stderr()).toMatch(/certificate/i)
    await rm(files.SALLYPORT_CERTIFICATE)
    const absent = up(at, { env: files })
    expect(await absent.ended()).toBe(2)
    expect(absent.stderr()).toContain('server.pem')
    expect(absent.stderr()).not.toContain('    at ')
  })
})

describe('the command line', () => {
  it('a clock that once stood in the future is confirmed, and only then opens sessions', async () => {
    const at = await place()
    const first = up(at)
    await first.says('Gateways dial in')
    const admin = await client(at)
    await admin.setUp(setUpLink(first.stdout()) ?? '')
    await first.stop()
    // As a clock battery that failed would leave it: the mark is a day ahead.
    await writeFile(path.join(at.data, 'clock-mark'), `${Date.now() + 86_400_000}\n`)
    const second = up(at)
    await second.says('Gateways dial in')
    await admin.signIn()
    expect((await admin.call('GET /api/health', {})).clock.state).toBe('behind-mark')
    await second.stop()
    const confirm = startSallyport(['clock', '--confirm'], { env: at.env })
    expect(await confirm.ended()).toBe(0)
    expect(confirm.stdout()).toContain('New sessions may open again')
    const third = up(at)
    await third.says('Gateways dial in')
    expect((await admin.call('GET /api/health', {})).clock.state).toBe('ok')
  })

  it('an unknown command names the known ones', async () => {
    const started = startSallyport(['upp'])
    expect(await started.ended()).toBe(2)
    expect(started.stderr()).toContain('there is no command "upp"')
    expect(started.stderr()).toContain('usage: sallyport')
  })

  it('npm start is `up` on the pinned Node', async () => {
    const { scripts } = JSON.parse(await readFile(path.join(path.dirname(MAIN), 'package.json'), 'utf8')) as {
      scripts: Record<string, string>
    }
    expect(scripts.start).toBe('node main.ts up')
    expect(existsSync(NODE)).toBe(true)
  })
})

function listen(server: Server, port: number): Promise<void> {
  return new Promise((done, failed) => {
    server.once('error', failed)
    server.listen(port, '0.0.0.0', done)
  })
}
