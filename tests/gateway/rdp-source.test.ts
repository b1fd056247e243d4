import { mkdtemp, readFile, rm } from 'node:fs/promises'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { afterAll, beforeAll, describe, expect, it } from 'vitest'
import { systemClock } from '../../broker/domain/clock.ts'
import type { DecoderSpares } from '../../gateway/desktop/child/spares.ts'
import { probeRdp } from '../../gateway/desktop/rdp/probe.ts'
import { describeCertificate } from '../../gateway/target/certificate.ts'
import { type LabDesktop, type LabRdp, shadowMissing, startShadow } from '../lab/rdp-server.ts'
import { until } from '../lab/until.ts'
import { type LabXrdp, startXrdp, xrdpMissing } from '../lab/xrdp-server.ts'
import { alike, line, openRdpLab, press, rdpTarget, scripted, startRdpSpares, tryRdp } from './rdp-support.ts'

/** RemoteFX keeps colours apart from brightness, and less of them. */
const LOSSY = { most: 160, mean: 2 }
/** Five and six bits of each colour. */
const OF_16_BITS = { most: 8, mean: 6 }
const QUICK = { connectTimeoutMs: 2000, handshakeTimeoutMs: 1500 }

const noShadow = shadowMissing()
const noXrdp = xrdpMissing()
const title = (text: string, missing: string | null) => `${text}${missing ? ` (skipped: ${missing})` : ''}`

describe.skipIf(noShadow)(title('rdp source against a server with NLA', noShadow), () => {
  let lab: LabRdp & LabDesktop
  let spares: DecoderSpares
  let dir: string
  beforeAll(async () => {
    dir = await mkdtemp(join(tmpdir(), 'sallyport-rdp-test-'))
    ;[lab, spares] = await Promise.all([startShadow(), startRdpSpares()])
  })
  afterAll(async () => {
    await spares?.stop()
    await lab?.stop()
    await rm(dir, { recursive: true, force: true })
  })

  it('is probed before anything is said of a sign-in', async () => {
    expect(await probeRdp(lab, systemClock)).toEqual({
      ok: true,
      identity: describeCertificate(lab.certificate),
      rdp: { security: 'nla' },
    })
  })

  it('says how the connection is protected, and paints nothing before it is resumed', async () => {
    const { heard, asked, answer } = await tryRdp(lab, spares)
    if (!answer.ok) throw new Error(answer.failure.code)
    const { source, identity, algorithms } = answer.opened
    expect(identity).toEqual(describeCertificate(lab.certificate))
    expect(algorithms).toMatchObject({ rdp: 'nla', tls: 'TLSv1.3' })
    expect(asked.times).toBe(1)
    expect(heard.canvas.sizes.at(-1)).toBe('640x400')
    expect([heard.canvas.calls.put, heard.canvas.flushes]).toEqual([0, 1])
    source.resume()
    await until(() => heard.canvas.calls.put > 0, 'a picture')
    source.destroy()
    expect(heard.closed).toBeNull()
  })

  it.each([32, 16] as const)('shows what is on the screen, at %s bits', async (depth) => {
    const { heard, source } = await openRdpLab(lab, spares, { depth })
    await lab.showPhotograph()
    await until(() => heard.canvas.calls.put > 0, 'a picture')
    await alike(heard, lab, LOSSY)
    await lab.run('xdotool', 'search', '--name', 'xwud', 'windowkill')
    await alike(heard, lab, LOSSY)
    source.destroy()
  })

  it('carries typing by places and by symbols, and the pointer with its buttons and its wheel', async () => {
    const { heard, source } = await openRdpLab(lab, spares)
    const typed = join(dir, 'typed')
    const events = join(dir, 'events')
    const term = lab.start('xterm', '-geometry', '60x8+0+0', '-e', `cat > ${typed}`)
    await until(() => heard.canvas.at(20, 20).every((part) => part > 240), 'the xterm is there', 20_000)
    source.pointer(30, 40, 0)
    source.pointer(30, 40, 1)
    source.pointer(30, 40, 0)
    await until(async () => (await lab.run('xdotool', 'getmouselocation')).startsWith('x:30 y:40'))
    // s, a by their places; L, l, ? by their symbols, which this server knows as keys only.
    press(source, 0x73, 0x1f)
    press(source, 0x61, 0x1e)
    for (const character of 'Ll?') press(source, character.charCodeAt(0))
    press(source, 0xff0d, 0x1c)
    await until(async () => (await readFile(typed, 'utf8')) === 'saLl?\n', 'the line was typed')
    term.kill()
    const viewer = lab.start('sh', '-c', `stdbuf -oL xev -geometry 200x100+300+200 -event button > ${events}`)
    await until(
      async () => (await lab.run('sh', '-c', "xdotool search --name 'Event Tester' || true")) !== '',
      'xev is there',
    )
    for (const buttons of [1, 2, 4, 8, 16]) {
      source.pointer(350, 280, 0)
      source.pointer(350, 280, buttons)
      source.pointer(350, 280, 0)
    }
    const seen = async () =>
      [...(await readFile(events, 'utf8')).matchAll(/ButtonPress[\s\S]*?button (\d+)/g)].map(([, n]) =>
        Number(n),
      )
    await until(async () => (await seen()).length >= 5, 'five buttons')
    expect(await seen()).toEqual([1, 2, 3, 4, 5])
    viewer.kill()
    source.destroy()
  })

  it('lets go of what is held down, whatever ends it or takes its place', async () => {
    const events = join(dir, 'keys')
    const viewer = lab.start(
      'sh',
      '-c',
      `stdbuf -oL xev -geometry 200x100+300+200 -event keyboard > ${events}`,
    )
    await until(
      async () => (await lab.run('sh', '-c', "xdotool search --name 'Event Tester' || true")) !== '',
      'xev is there',
    )
    const count = async (what: string) => (await readFile(events, 'utf8')).split(what).length - 1
    for (const [n, leave] of (['stop', 'end', 'another size'] as const).entries()) {
      const { heard, source } = await openRdpLab(lab, spares)
      await until(() => heard.canvas.calls.put > 0, 'a picture')
      source.pointer(380, 280, 1)
      source.pointer(380, 280, 0)
      source.key(true, 0x6a, 0x24)
      await until(async () => (await count('KeyPress event')) > n, 'the key is down')
      if (leave === 'another size') {
        // The connection is another one; the person still has the key down.
        source.resize(900, 700)
        await until(
          async () => (await count('KeyRelease event')) > n,
          'let go with the former connection',
          20_000,
        )
        source.destroy()
      } else {
        source.key(false, 0x6a, 0x24)
        if (leave === 'stop') source.destroy()
        else source.end()
        await until(async () => (await count('KeyRelease event')) > n, leave)
      }
    }
    viewer.kill()
  })

  it('stays where it is when something else answers for another size', async () => {
    const impostor = await startShadow({ security: 'nla' })
    const wire = await line(lab)
    const { heard, source } = await openRdpLab({ ...lab, host: wire.host, port: wire.port }, spares)
    await until(() => heard.canvas.calls.put > 0, 'a picture')
    wire.lead(impostor)
    source.resize(900, 700)
    await until(() => heard.changed === 1, 'it is told', 20_000)
    source.pointer(33, 44, 0)
    await until(async () => (await lab.run('xdotool', 'getmouselocation')).startsWith('x:33 y:44'))
    expect(heard.closed).toBeNull()
    source.destroy()
    await Promise.all([wire.stop(), impostor.stop()])
  })

  it('tells a wrong password', async () => {
    const { heard, answer } = await tryRdp(lab, spares, { password: 'not-the-password' })
    expect(answer).toMatchObject({ ok: false, failure: { code: 'wrong-credential' } })
    expect(heard.canvas.sizes).toEqual([])
  })

  it('shows another certificate than the accepted one no credential', async () => {
    const other = describeCertificate(Buffer.from('another'))
    const { asked, answer } = await tryRdp(lab, spares, { rules: { identities: [other] } })
    expect(answer).toMatchObject({
      ok: false,
      failure: { code: 'identity-changed', seen: describeCertificate(lab.certificate) },
    })
    expect(asked.times).toBe(0)
  })

  it('tells a server that wants NLA from one that is declared without', async () => {
    const { asked, answer } = await tryRdp(lab, spares, { rules: { security: 'tls' } })
    expect(answer).toMatchObject({ ok: false, failure: { code: 'nla-required' } })
    expect(asked.times).toBe(0)
  })

  it('gives up on a server that stops answering, whatever it is doing', async () => {
    const silent = await scripted([])
    const confirms = await scripted([
      Buffer.from([3, 0, 0, 19, 14, 0xd0, 0, 0, 0, 0, 0, 2, 0, 8, 0, 2, 0, 0, 0]),
    ])
    for (const one of [silent, confirms]) {
      const { asked, answer } = await tryRdp(lab, spares, {
        rules: { address: { host: '127.0.0.1', port: one.port } },
        times: QUICK,
      })
      expect(answer).toMatchObject({ ok: false, failure: { code: 'timed-out' } })
      expect(asked.times).toBe(0)
      await one.stop()
    }
  })

  it('tells old servers, downgrades and strangers apart', async () => {
    const confirm = (...end: number[]) =>
      Buffer.from([3, 0, 0, 11 + end.length, 6 + end.length, 0xd0, 0, 0, 0, 0, 0, ...end])
    for (const [says, code] of [
      [confirm(), 'nla-missing'],
      [confirm(2, 0, 8, 0, 1, 0, 0, 0), 'nla-missing'],
      [confirm(3, 0, 8, 0, 2, 0, 0, 0), 'old-security'],
      [confirm(2, 0, 8, 0, 3, 0, 0, 0), 'not-rdp'],
      [Buffer.from('SSH-2.0-OpenSSH_9.2p1\r\n'), 'not-rdp'],
      [Buffer.from([3, 0, 0xff, 0xff, 14, 0xd0]), 'not-rdp'],
    ] as const) {
      const server = await scripted([says])
      const { asked, answer } = await tryRdp(lab, spares, {
        rules: { address: { host: '127.0.0.1', port: server.port } },
        times: QUICK,
      })
      expect(answer, says.toString('latin1')).toMatchObject({ ok: false, failure: { code } })
      expect(asked.times).toBe(0)
      // Not even who would have signed in.
      expect(server.heard.bytes.includes(lab.user)).toBe(false)
      await server.stop()
    }
  })

  it('refuses a server that does TLS alone where NLA is required, before any credential', async () => {
    const weaker = await startShadow({ security: 'tls' })
    const { asked, answer } = await tryRdp(weaker, spares)
    expect(answer).toMatchObject({ ok: false, failure: { code: 'nla-missing' } })
    expect(asked.times).toBe(0)
    expect(await probeRdp(weaker, systemClock)).toMatchObject({ ok: true, rdp: { security: 'tls' } })
    await weaker.stop()
  })

  it('ends when its server is gone', async () => {
    const wire = await line(lab)
    const { heard } = await openRdpLab({ ...lab, host: wire.host, port: wire.port }, spares)
    await until(() => heard.canvas.calls.put > 0, 'a picture')
    wire.cut()
    await until(() => heard.closed !== null, 'the end')
    expect(heard.closed).toBe('asset-lost')
    await wire.stop()
  })

  it('has its child’s death told as such', async () => {
    const { heard, source } = await openRdpLab(lab, spares)
    await until(() => heard.canvas.calls.put > 0, 'a picture')
    process.kill((source as unknown as { pid: number }).pid, 'SIGKILL')
    await until(() => heard.closed !== null, 'the end')
    expect(heard.closed).toBe('decoder-failed')
  })

  it('takes no other credential than its account’s password', async () => {
    const { asked, answer } = await tryRdp(lab, spares, { password: '' })
    expect(answer).toMatchObject({ ok: false, failure: { code: 'credential-unusable' } })
    expect(asked.times).toBe(1)
    expect(rdpTarget(lab).security).toBe('nla')
  })
})

describe.skipIf(noXrdp)(title('rdp source against xrdp', noXrdp), () => {
  let lab: LabXrdp
  let spares: DecoderSpares
  const rules = { security: 'tls', clipboard: { in: true, out: true } } as const
  beforeAll(async () => {
    ;[lab, spares] = await Promise.all([startXrdp(), startRdpSpares()])
  })
  afterAll(async () => {
    await spares?.stop()
    await lab?.stop()
  })

  it.each([
    [32, 801, 601],
    [16, 1013, 771],
    [16, 666, 500],
  ] as const)('shows what is on the screen, at %s bits and %s by %s', async (depth, width, height) => {
    const { heard, source } = await openRdpLab(lab, spares, {
      rules,
      depth,
      desk: { size: { width, height } },
    })
    const session = await lab.session()
    await until(
      () => heard.canvas.width === (width & ~1) && heard.canvas.height === (height & ~1),
      'its size',
    )
    await session.showPhotograph()
    await alike(heard, session, depth === 16 ? OF_16_BITS : LOSSY)
    await session.run('xdotool', 'search', '--name', 'xwud', 'windowkill')
    await alike(heard, session, depth === 16 ? OF_16_BITS : LOSSY)
    source.destroy()
  })

  it('follows the size of the window, and shows the same work in it', async () => {
    const { heard, source } = await openRdpLab(lab, spares, { rules })
    const session = await lab.session()
    await alike(heard, session, LOSSY)
    source.resize(1000, 700)
    source.resize(1100, 640)
    await until(() => heard.canvas.width === 1100 && heard.canvas.height === 640, 'another size', 20_000)
    await alike(heard, session, LOSSY)
    // What is typed goes to the new connection.
    source.pointer(300, 300, 0)
    await until(async () => (await session.run('xdotool', 'getmouselocation')).startsWith('x:300 y:300'))
    expect(heard.closed).toBeNull()
    source.destroy()
  })

  it('carries text both ways, and whatever is in it', async () => {
    const { heard, source } = await openRdpLab(lab, spares, { rules })
    const session = await lab.session()
    await alike(heard, session, LOSSY)
    session.start(
      'sh',
      '-c',
      "printf 'Drehzahl 1200 min\\342\\201\\273\\302\\271 \\342\\202\\254' | xclip -selection clipboard -loops 0",
    )
    await until(() => heard.clipboard.includes('Drehzahl 1200 min⁻¹ €'), 'what was copied there')
    source.clipboard('Grüße aus dem Werk €\n')
    await until(
      async () =>
        (await session.run('sh', '-c', 'timeout 2 xclip -selection clipboard -o || true')).trim() ===
        'Grüße aus dem Werk €',
      'what was given',
      20_000,
    )
    // And again, after the asset has asked for it.
    session.start('sh', '-c', 'printf again | xclip -selection clipboard -loops 0')
    await until(() => heard.clipboard.includes('again'), 'copied once more')
    expect(heard.closed).toBeNull()
    source.destroy()
  })

  it('has no clipboard where none is granted', async () => {
    const none = { ...rules, clipboard: { in: false, out: false } }
    const { heard, source } = await openRdpLab(lab, spares, { rules: none })
    const session = await lab.session()
    await alike(heard, session, LOSSY)
    source.clipboard('not for you')
    session.start('sh', '-c', 'printf secret | xclip -selection clipboard -loops 0')
    await until(
      async () => (await session.run('xclip', '-selection', 'clipboard', '-o')) === 'secret',
      'it is there',
    )
    // What comes later than the clipboard would.
    source.pointer(10, 20, 0)
    await until(async () => (await session.run('xdotool', 'getmouselocation')).startsWith('x:10 y:20'))
    expect(heard.clipboard).toEqual([])
    expect(await session.run('xclip', '-selection', 'clipboard', '-o')).toBe('secret')
    source.destroy()
  })

  it('shows the server’s pointers', async () => {
    const { heard, source } = await openRdpLab(lab, spares, { rules })
    const session = await lab.session()
    await alike(heard, session, LOSSY)
    const seen = () => {
      const { shape } = heard.canvas
      const alphas = new Set(shape?.pixels.filter((_, n) => n % 4 === 3))
      return alphas.has(0) && alphas.has(255) && shape ? `${shape.hotX},${shape.hotY}` : null
    }
    // Over the terminal the bar of text, over the desktop an arrow, which is not the one that a client has of its own.
    source.pointer(100, 100, 0)
    await until(() => seen() === '4,8', 'the terminal’s pointer')
    source.pointer(600, 500, 0)
    await until(() => !['4,8', '0,0', null].includes(seen()), 'the desktop’s pointer')
    source.destroy()
  })

  it('ends when its person signs out, and is told when somebody else takes it over', async () => {
    const { heard } = await openRdpLab(lab, spares, { rules })
    await alike(heard, await lab.session(), LOSSY)
    const other = await openRdpLab(lab, spares, { rules })
    await alike(other.heard, await lab.session(), LOSSY)
    await until(() => heard.closed !== null, 'the first one ends')
    expect(['taken-over', 'asset-lost']).toContain(heard.closed)
    await (await lab.session()).logOff()
    await until(() => other.heard.closed !== null, 'the second one ends')
    expect(['shell-ended', 'asset-lost']).toContain(other.heard.closed)
  })
})
