import { afterAll, beforeAll, describe, expect, it } from 'vitest'
import { newId } from '../../broker/domain/ids.ts'
import { type LabSshd, opensshMissing, startOpenssh } from '../lab/openssh.ts'
import { until } from '../lab/until.ts'
import { type House, openSession, startHouse } from './house.ts'

const missing = opensshMissing()

describe.skipIf(missing)(`browsers come and go${missing ? ` (skipped: ${missing})` : ''}`, () => {
  let lab: LabSshd
  let house: House
  beforeAll(async () => {
    lab = await startOpenssh()
    house = await startHouse({ heartbeat: { everyMs: 200, silentMs: 1500 } })
  })
  afterAll(async () => {
    await house?.stop()
    await lab?.stop()
  })

  it('a lost browser comes back to its screen', async () => {
    const { broker } = house
    const { grant, browser } = await openSession(house, lab)
    browser.type('clear; echo before-$((3+4))\n')
    await browser.sees('before-7')
    browser.ws.terminate()
    await until(() => broker.eventsOf('session-state', grant.session).some((event) => event.state === 'held'))
    const back = await broker.browser(grant, 'attach')
    back.start(90, 25)
    await back.state('live')
    await back.sees('before-7')
    expect(back.last('screen')).toMatchObject({ cols: 90, rows: 25 })
    back.type('stty size\n')
    await back.sees('25 90')
    await broker.command(grant, 'stop')
  })

  it('a browser that stays away ends the session', async () => {
    const { broker } = house
    const { grant, browser } = await openSession(house, lab, { browserHoldSeconds: 1 })
    browser.ws.terminate()
    expect((await broker.closed(grant)).end).toBe('browser-lost')
  })

  it('a second browser of the same person replaces the first', async () => {
    const { broker } = house
    const { grant, browser } = await openSession(house, lab)
    const second = await broker.browser(grant, 'attach')
    await until(() => browser.closed !== null)
    expect(browser.closed?.code).toBe(4409)
    second.start()
    second.type('echo second-$((1+1))\n')
    await second.sees('second-2')
    expect(second.last('state')?.state).toBe('live')
    await broker.command(grant, 'stop')
  })

  it('a silent browser is noticed by the heartbeat', async () => {
    const { broker } = house
    const { grant, browser } = await openSession(house, lab)
    // Reads nothing, so answers no ping: both legs stand still and nobody else would notice.
    browser.ws.pause()
    await until(() => broker.eventsOf('session-state', grant.session).some((event) => event.state === 'held'))
    await broker.command(grant, 'stop')
    browser.ws.terminate()
  })

  it('a watcher sees the screen, is named, types nothing', async () => {
    const { broker } = house
    const { grant, browser } = await openSession(house, lab)
    browser.type('echo seen-$((4+4))\n')
    await browser.sees('seen-8')
    const watcher = await broker.browser(grant, 'watch', { person: newId(), personName: 'Olga Operator' })
    await watcher.sees('seen-8')
    expect(watcher.last('hello')).toMatchObject({ use: 'watch', viewOnly: true })
    await until(() => browser.last('watchers')?.names.includes('Olga Operator') === true)
    await until(() => broker.eventsOf('watcher', grant.session).length > 0)
    expect(broker.eventsOf('watcher', grant.session)[0]).toMatchObject({
      joined: true,
      name: 'Olga Operator',
    })
    browser.type('echo live-$((4+5))\n')
    await watcher.sees('live-9')
    watcher.type('echo watcher-typed\n')
    await until(() => watcher.closed !== null)
    expect(watcher.closed?.code).toBe(4400)
    browser.type('echo still-$((4+6))\n')
    await browser.sees('still-10')
    expect(browser.text).not.toContain('watcher-typed')
    await until(() => browser.last('watchers')?.names.length === 0)
    await broker.command(grant, 'stop')
  })

  it('who watches in two windows is named once, and has left only when both are closed', async () => {
    const { broker } = house
    const { grant, browser } = await openSession(house, lab)
    const olga = { person: newId(), personName: 'Olga Operator' }
    const first = await broker.browser(grant, 'watch', olga)
    const second = await broker.browser(grant, 'watch', olga)
    const joined = () => broker.eventsOf('watcher', grant.session).filter((event) => event.joined).length
    const left = () => broker.eventsOf('watcher', grant.session).filter((event) => !event.joined).length
    await until(() => joined() === 2)
    first.ws.close()
    await until(() => first.closed !== null)
    // Comes after the first window's end on the same line: by now a "left" would have been told.
    const third = await broker.browser(grant, 'watch', { person: newId(), personName: 'Otto' })
    await until(() => joined() === 3)
    expect(browser.last('watchers')?.names).toEqual(['Olga Operator', 'Otto'])
    expect(left()).toBe(0)
    second.ws.close()
    await until(() => left() === 1)
    third.ws.close()
    await until(() => browser.last('watchers')?.names.length === 0)
    await broker.command(grant, 'stop')
  })

  it('a watcher that does not read is never waited for, and caught up from the screen', async () => {
    const { broker } = house
    const { grant, browser } = await openSession(house, lab)
    const watcher = await broker.browser(grant, 'watch', { person: newId(), personName: 'Slow' })
    await until(() => watcher.last('screen') !== undefined)
    watcher.acknowledges = false
    watcher.keepText = false
    browser.keepText = false
    browser.type('head -c 12000000 /dev/zero | tr "\\0" x; echo; echo end-$((5+6))\n')
    browser.keepText = true
    await browser.sees('end-11', 30_000)
    expect(watcher.bytes).toBeLessThan(6_000_000)
    watcher.keepText = true
    watcher.acknowledges = true
    watcher.acknowledge()
    await watcher.sees('end-11', 30_000)
    await broker.command(grant, 'stop')
  })

  it('an owner that does not acknowledge pauses the asset; memory stays flat', async () => {
    const { broker } = house
    const { grant, browser } = await openSession(house, lab)
    browser.acknowledges = false
    browser.keepText = false
    browser.type('yes 0123456789012345678901234567890123456789\n')
    await until(() => browser.bytes > 4_000_000, 'first megabytes')
    // What is in flight arrives, then nothing more.
    let last = -1
    await until(async () => {
      const same = browser.bytes === last
      last = browser.bytes
      await new Promise((done) => setTimeout(done, 300))
      return same
    })
    expect(browser.bytes).toBeLessThan(10_000_000)
    const rss = process.memoryUsage.rss()
    browser.acknowledges = true
    browser.acknowledge()
    await until(() => browser.bytes > 60_000_000, 'flows again', 60_000)
    expect(process.memoryUsage.rss() - rss).toBeLessThan(250 * 1024 * 1024)
    await broker.command(grant, 'stop')
  })

  it('a large paste into a program that sends it all back comes through whole', async () => {
    const { broker } = house
    const { grant, browser } = await openSession(house, lab)
    browser.type('stty raw -echo; echo ready-$((1+1)); exec cat\n')
    await browser.sees('ready-2')
    browser.keepText = false
    const before = browser.bytes
    const frame = Buffer.alloc(128 * 1024, 0x61)
    for (let sent = 0; sent < 8 * 1024 * 1024; sent += frame.length) browser.ws.send(frame)
    await until(() => browser.bytes - before >= 8 * 1024 * 1024, 'all of it', 60_000)
    await broker.command(grant, 'stop')
    expect((await broker.closed(grant)).bytesIn).toBeGreaterThanOrEqual(8 * 1024 * 1024)
  })

  it('a message of another protocol closes the socket and never the asset’s side', async () => {
    const { broker } = house
    const { grant, browser } = await openSession(house, lab)
    browser.say({ type: 'start', cols: 80, rows: 24, sudo: true })
    await until(() => browser.closed !== null)
    expect(browser.closed?.code).toBe(4400)
    expect(broker.eventsOf('session-closed', grant.session)).toEqual([])
    const back = await broker.browser(grant, 'attach')
    back.start()
    await back.state('live')
    back.say({ type: 'leave' })
    await broker.closed(grant)
  })

  it('input in a view-only grant goes nowhere', async () => {
    const { grant, browser } = await openSession(house, lab, { viewOnly: true })
    browser.type('echo typed\n')
    browser.say({ type: 'ping', id: 7 })
    await until(() => browser.last('pong')?.id === 7)
    expect(browser.text).not.toContain('typed')
    await house.broker.command(grant, 'stop')
    expect((await house.broker.closed(grant)).bytesIn).toBe(0)
  })
})
