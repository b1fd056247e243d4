import { mkdtemp, readdir, readFile, rm } from 'node:fs/promises'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { afterAll, beforeAll, describe, expect, it } from 'vitest'
import { say } from '../../gateway/desktop/testing/rfb-client.ts'
import { until } from '../lab/until.ts'
import { type LabVnc, startVnc, vncMissing } from '../lab/vnc-server.ts'
import { DesktopBrowser, grantFor, openDesktop } from './desktop-browser.ts'
import { type House, startHouse } from './house.ts'

const missing = vncMissing()

describe.skipIf(missing)(`a desktop through the gateway${missing ? ` (skipped: ${missing})` : ''}`, () => {
  let lab: LabVnc
  let house: House
  let dir: string
  beforeAll(async () => {
    dir = await mkdtemp(join(tmpdir(), 'sallyport-desktop-test-'))
    lab = await startVnc({ security: 'X509Vnc', certificate: true })
    house = await startHouse()
  })
  afterAll(async () => {
    await house?.stop()
    await lab?.stop()
    await rm(dir, { recursive: true, force: true })
  })

  const type = (desktop: DesktopBrowser, text: string) => {
    for (const letter of text) {
      const keysym = letter === '\n' ? 0xff0d : letter.charCodeAt(0)
      desktop.say(say.key(true, keysym), say.key(false, keysym))
    }
  }
  /** An editor of sorts under the pointer; what is typed into it stands in the file. */
  const editor = async (desktop: DesktopBrowser, name: string) => {
    const file = join(dir, name)
    const term = lab.start('xterm', '-geometry', '80x20+0+0', '-e', `cat > ${file}`)
    const at = () => desktop.screen.picture.subarray((20 * desktop.screen.width + 20) * 4).subarray(0, 3)
    await until(() => at().every((part) => part === 255), 'the xterm is there', 20_000)
    desktop.say(say.pointer(0, 30, 30), say.pointer(1, 30, 30), say.pointer(0, 30, 30))
    await until(async () => (await lab.run('xdotool', 'getmouselocation')).startsWith('x:30 y:30'))
    return { file, close: () => term.kill() }
  }

  it('opens, shows the asset’s screen, carries keys and pointer, is recorded and delivered', async () => {
    const { broker } = house
    const { grant, browser, desktop } = await openDesktop(house, lab)
    expect(browser.last('hello')).toMatchObject({ use: 'open', asset: 'Boiler 3 HMI', viewOnly: false })
    await desktop.same(lab)
    const { file, close } = await editor(desktop, 'typed')
    type(desktop, 'Sallyport\n')
    await until(async () => (await readFile(file, 'utf8')) === 'Sallyport\n', 'the line was typed')
    close()
    browser.say({ type: 'leave' })
    const closed = await broker.closed(grant)
    expect(closed).toMatchObject({ end: 'vendor-left' })
    expect(closed.bytesOut).toBeGreaterThan(300)
    expect(closed.bytesIn).toBeGreaterThan(100)
    await until(() => broker.receipts.has(grant.recording), 'receipt')
    expect([...broker.evidence.keys()].filter((path) => path.startsWith(grant.recording)).sort()).toEqual([
      `${grant.recording}/input/0.spr`,
      `${grant.recording}/keys/input-0.jwe`,
      `${grant.recording}/keys/screen-0.jwe`,
      `${grant.recording}/manifest.jws`,
      `${grant.recording}/screen/0.spr`,
    ])
    const live = broker.eventsOf('session-live', grant.session)[0]
    expect(live).toMatchObject({
      identity: grant.identities[0],
      algorithms: { encryption: 'x509', authentication: 'vnc', decoder: 'full' },
    })
  })

  it('a changed certificate: refused, reported, and no credential fetched', async () => {
    const { broker } = house
    const asked = broker.credentialsAsked
    const pinned = { algorithm: 'x509-sha256', fingerprint: `SHA256:${'B'.repeat(43)}` }
    const grant = broker.grant(null, grantFor(lab, { identities: [pinned] }))
    expect(await broker.open(grant)).toMatchObject({ ok: true })
    const browser = await broker.browser(grant, 'open')
    browser.say({ type: 'start' })
    expect(await broker.closed(grant, 15_000)).toMatchObject({ end: 'target-identity-changed' })
    expect(broker.eventsOf('identity-changed', grant.session)).toMatchObject([
      { expected: [pinned.fingerprint] },
    ])
    expect(broker.credentialsAsked).toBe(asked)
  })

  it('watchers see the whole at once and reach nothing; one that reads nothing holds nobody up', async () => {
    const { broker } = house
    const { grant, desktop, browser } = await openDesktop(house, lab)
    await desktop.same(lab)
    const watcher = { person: broker.gateway, personName: 'Olga Operator' }
    const watching = await DesktopBrowser.come(house, grant, 'watch', watcher)
    const idle = await DesktopBrowser.come(house, grant, 'watch', watcher)
    idle.asks = false
    await watching.same(lab)
    watching.say(say.pointer(0, 333, 222), say.key(true, 0x61), say.cutText('no'))
    for (const colour of ['#102030', '#405060', '#708090']) {
      await lab.run('xsetroot', '-solid', colour)
      await desktop.same(lab)
      await watching.same(lab)
    }
    expect(idle.updates).toBeLessThan(3)
    expect(await lab.run('xdotool', 'getmouselocation')).not.toContain('x:333')
    expect(browser.last('watchers')).toMatchObject({ names: ['Olga Operator'] })
    await broker.command(grant, 'stop')
    expect(await broker.closed(grant)).toMatchObject({ end: 'operator-stopped' })
  })

  it('a lost browser lets go of its keys, and comes back to the whole screen', async () => {
    const { broker } = house
    const { grant, desktop, browser } = await openDesktop(house, lab)
    const { file, close } = await editor(desktop, 'held')
    desktop.say(say.key(true, 0xffe1), say.key(true, 0x41), say.key(false, 0x41))
    await until(async () => (await lab.run('xdotool', 'getmouselocation')) !== '')
    browser.ws.terminate()
    await until(() => broker.eventsOf('session-state', grant.session).at(-1)?.state === 'held', 'held')
    const back = await DesktopBrowser.come(house, grant, 'attach')
    await back.browser.state('live')
    await back.same(lab)
    // With Shift still down these would be capitals.
    back.say(say.qemuKey(true, 0x62, 0x30), say.qemuKey(false, 0x62, 0x30))
    type(back, '\n')
    await until(async () => (await readFile(file, 'utf8')).endsWith('\n'), 'the line was typed')
    expect(await readFile(file, 'utf8')).toBe('Ab\n')
    close()
    await broker.command(grant, 'stop')
    await broker.closed(grant)
  })

  it('while an operator holds it, nothing is typed, and what was held down is let go', async () => {
    const { broker } = house
    const { grant, desktop } = await openDesktop(house, lab)
    const { file, close } = await editor(desktop, 'frozen')
    type(desktop, 'a')
    desktop.say(say.key(true, 0xffe1))
    expect(await broker.command(grant, 'hold')).toMatchObject({ ok: true })
    type(desktop, 'x')
    expect(await broker.command(grant, 'release')).toMatchObject({ ok: true })
    desktop.say(say.qemuKey(true, 0x62, 0x30), say.qemuKey(false, 0x62, 0x30))
    type(desktop, '\n')
    await until(async () => (await readFile(file, 'utf8')).endsWith('\n'), 'the line was typed')
    expect(await readFile(file, 'utf8')).toBe('ab\n')
    close()
    await broker.command(grant, 'stop')
    await broker.closed(grant)
  })

  it('an operator’s stop, and another window, let go of what is held before anything else', async () => {
    const { broker } = house
    const { grant, desktop } = await openDesktop(house, lab)
    const { file, close } = await editor(desktop, 'stopped')
    desktop.say(say.qemuKey(true, 0xffe1, 0x2a))
    type(desktop, 'a')
    const back = await DesktopBrowser.come(house, grant, 'attach')
    await until(() => back.updates > 0)
    back.say(say.qemuKey(true, 0x62, 0x30), say.qemuKey(false, 0x62, 0x30), say.qemuKey(true, 0xffe1, 0x2a))
    type(back, '\n')
    await until(
      async () => (await readFile(file, 'utf8')).endsWith('b\n'),
      'a small letter after the first window',
    )
    await broker.command(grant, 'stop')
    await broker.closed(grant)
    close()
  })

  it('two windows that begin while it opens are no trouble', async () => {
    const { broker } = house
    const grant = broker.grant(null, grantFor(lab))
    await broker.passwordOf({ user: 'vnc', password: lab.password })
    await broker.open(grant)
    const first = await DesktopBrowser.come(house, grant, 'open')
    const others = await Promise.all(
      [1, 2, 3].map(() => DesktopBrowser.come(house, grant, 'attach').catch(() => null)),
    )
    // Whichever of them came last has it.
    const all = [first, ...others].filter((one) => one !== null)
    await until(
      () => all.some(({ browser, updates }) => browser.closed === null && updates > 0),
      'one of them shows the desktop',
    )
    await broker.command(grant, 'stop')
    expect(await broker.closed(grant)).toMatchObject({ end: 'operator-stopped' })
  })

  it('a person who sends more than hands can is closed, and holds nobody up', async () => {
    const { broker } = house
    const { grant, desktop, browser } = await openDesktop(house, lab)
    desktop.say(Buffer.concat(Array.from({ length: 30_000 }, () => say.key(true, 0x61))))
    await until(() => browser.closed !== null)
    expect(browser.closed?.code).toBe(4400)
    await broker.command(grant, 'stop')
    await broker.closed(grant)
  })

  it('bytes that are no RFB close that browser alone', async () => {
    const { broker } = house
    const { grant, desktop, browser } = await openDesktop(house, lab)
    await desktop.same(lab)
    desktop.say(Buffer.alloc(64, 0xee))
    await until(() => browser.closed !== null)
    expect(browser.closed?.code).toBe(4400)
    const back = await DesktopBrowser.come(house, grant, 'attach')
    await back.same(lab)
    await broker.command(grant, 'stop')
    await broker.closed(grant)
  })

  it('the asset goes away: the session ends as lost, with its recording sealed', async () => {
    const { broker } = house
    const other = await startVnc({ security: 'VncAuth' })
    const { grant, desktop } = await openDesktop(house, other)
    await desktop.same(other)
    other.kill()
    expect(await broker.closed(grant)).toMatchObject({ end: 'asset-lost' })
    await until(() => broker.receipts.has(grant.recording), 'receipt')
    await other.stop()
  })

  it('a decoder that dies ends its session alone; the next one opens', async () => {
    const alone = await startHouse({ workers: 1 })
    const { broker } = alone
    const before = await decoders()
    const first = await openDesktop(alone, lab)
    // The next one is started when the first is taken.
    const decoder = (await decoders()).find((pid) => !before.includes(pid)) ?? 0
    const second = await openDesktop(alone, lab)
    process.kill(decoder, 'SIGKILL')
    expect(await broker.closed(first.grant)).toMatchObject({
      end: 'decoder-failed',
      message: expect.stringContaining('decoded'),
    })
    await lab.run('xsetroot', '-solid', '#203040')
    // Of the two on this display, whoever moved the pointer last is sent its shape.
    second.desktop.say(say.pointer(0, 310, 210))
    await second.desktop.same(lab)
    const third = await openDesktop(alone, lab)
    third.desktop.say(say.pointer(0, 320, 220))
    await third.desktop.same(lab)
    await alone.stop()
    expect(await decoders()).not.toContain(decoder)
  })

  it('probes a VNC server for an administrator', async () => {
    const address = { host: lab.host, port: lab.port }
    expect(
      await house.broker.control?.ask({ type: 'probe', protocol: 'vnc', address }, 10_000),
    ).toMatchObject({
      ok: true,
      identity: grantFor(lab).identities?.[0],
      vnc: { security: 'x509', authentication: 'password' },
    })
  })
})

/** Decoding processes of this test's gateways, oldest first. */
async function decoders(): Promise<number[]> {
  const found: number[] = []
  for (const name of await readdir('/proc')) {
    if (!/^\d+$/.test(name)) continue
    // One that has just ended is none.
    const read = (file: string) => readFile(join('/proc', name, file), 'latin1').catch(() => '')
    const parent = /^PPid:\s+(\d+)$/m.exec(await read('status'))?.[1]
    if (Number(parent) === process.pid && (await read('cmdline')).includes('vnc-child'))
      found.push(Number(name))
  }
  return found.sort((a, b) => a - b)
}
