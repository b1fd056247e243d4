import { mkdtemp, readFile, rm } from 'node:fs/promises'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { afterAll, beforeAll, describe, expect, it } from 'vitest'
import { systemClock } from '../../broker/domain/clock.ts'
import type { DecoderSpares } from '../../gateway/desktop/child/spares.ts'
import type { DesktopSource } from '../../gateway/desktop/source.ts'
import { openVnc } from '../../gateway/desktop/vnc/open-vnc.ts'
import { probeVnc } from '../../gateway/desktop/vnc/probe.ts'
import { describeCertificate } from '../../gateway/target/certificate.ts'
import { until } from '../lab/until.ts'
import { type LabVnc, startVnc, vncMissing } from '../lab/vnc-server.ts'
import { listener, never, openLab, passwordOf, same, startSpares, targetOf } from './vnc-support.ts'

const missing = vncMissing()
const title = (text: string) => `${text}${missing ? ` (skipped: ${missing})` : ''}`

/** Xtigervnc paints the pointer into the picture of a client that is not the one who moved it. */
async function ownPointer(source: DesktopSource, lab: LabVnc) {
  source.pointer(5, 390, 0)
  await until(async () => (await lab.run('xdotool', 'getmouselocation')).startsWith('x:5 y:390'))
}

describe.skipIf(missing)(title('vnc source against Xtigervnc'), () => {
  let lab: LabVnc
  let spares: DecoderSpares
  let dir: string
  const house = () => ({ clock: systemClock, children: spares })
  beforeAll(async () => {
    dir = await mkdtemp(join(tmpdir(), 'sallyport-vnc-test-'))
    lab = await startVnc({ security: 'VncAuth' })
    spares = await startSpares()
  })
  afterAll(async () => {
    await spares?.stop()
    await lab?.stop()
    await rm(dir, { recursive: true, force: true })
  })

  it('says how the connection is protected, and asks for nothing before it is resumed', async () => {
    const { heard, events } = listener()
    const answer = await openVnc(targetOf(lab), passwordOf(lab.password).login, events, never, house())
    if (!answer.ok) throw new Error(answer.failure.code)
    const { source, identity, algorithms } = answer.opened
    expect(identity).toBeNull()
    expect(algorithms).toEqual({ rfb: '3.8', encryption: 'plain', authentication: 'vnc' })
    expect(heard.canvas.sizes).toEqual(['640x400'])
    expect(heard.canvas.calls).toEqual({ put: 0, fill: 0, copy: 0 })
    source.resume()
    await until(() => heard.canvas.flushes > 1)
    source.destroy()
    expect(heard.closed).toBeNull()
  })

  it('carries typing, by symbol and by scancode, and the pointer', async () => {
    const { heard, source } = await openLab(lab, spares)
    const out = join(dir, 'typed')
    const term = lab.start('xterm', '-geometry', '80x20+0+0', '-e', `cat > ${out}`)
    await until(() => heard.canvas.at(20, 20).every((part) => part === 255), 'the xterm is there', 20_000)
    source.pointer(30, 30, 0)
    source.pointer(30, 30, 1)
    source.pointer(30, 30, 0)
    await until(async () => (await lab.run('xdotool', 'getmouselocation')).startsWith('x:30 y:30'))
    for (const letter of 'Sally') {
      source.key(true, letter.charCodeAt(0), null)
      source.key(false, letter.charCodeAt(0), null)
    }
    // p, o, r, t by their places: the server prefers them to the symbol.
    for (const [scancode, symbol] of [
      [0x19, 0x70],
      [0x18, 0x6f],
      [0x13, 0x72],
      [0x14, 0x74],
    ] as const) {
      source.key(true, symbol, scancode)
      source.key(false, symbol, scancode)
    }
    source.key(true, 0xff0d, 0x1c)
    source.key(false, 0xff0d, 0x1c)
    await until(async () => (await readFile(out, 'utf8')) === 'Sallyport\n', 'the line was typed')
    term.kill()
    source.destroy()
  })

  it('resizes the desktop, and follows a resize of somebody else', async () => {
    const { heard, source } = await openLab(lab, spares)
    await until(() => heard.canvas.flushes > 1)
    await ownPointer(source, lab)
    source.resize(800, 500)
    await until(() => heard.canvas.width === 800 && heard.canvas.height === 500)
    await same(heard, lab)
    const other = await openLab(lab, spares)
    await until(() => other.heard.canvas.flushes > 1)
    other.source.resize(640, 400)
    await until(() => heard.canvas.width === 640 && heard.canvas.height === 400)
    await same(heard, lab)
    other.source.destroy()
    source.destroy()
  })

  it('shows the cursor', async () => {
    const { heard, source } = await openLab(lab, spares)
    source.pointer(200, 200, 0)
    await lab.run('xsetroot', '-cursor_name', 'crosshair', '-fg', 'red', '-bg', 'red')
    await until(() => {
      const shape = heard.canvas.shape
      if (!shape || shape.width === 0) return false
      const alphas = new Set(shape.pixels.filter((_, n) => n % 4 === 3))
      return alphas.has(0) && alphas.has(255) && shape.hotX > 0
    }, 'a cursor with holes')
    source.destroy()
  })

  it('moves areas by copies', async () => {
    const { heard, source } = await openLab(lab, spares, { encodings: ['copyRect', 'zrle', 'raw'] })
    await until(() => heard.canvas.flushes > 1)
    await ownPointer(source, lab)
    await lab.showPhotograph()
    await until(() => heard.canvas.at(0, 99).join() === '0,126,128', 'the window is there')
    const window = (await lab.run('xdotool', 'search', '--onlyvisible', '--name', 'xwud'))
      .trim()
      .split('\n')[0]
    await lab.run('xdotool', 'windowmove', window ?? '', '150', '90')
    await until(() => heard.canvas.calls.copy > 0, 'a copy')
    await same(heard, lab)
    source.destroy()
  })

  it('takes JPEG when asked to, close to the truth', async () => {
    const { heard, source } = await openLab(lab, spares, { encodings: ['tight', 'raw'], jpegQuality: 3 })
    await lab.showPhotograph()
    // Lossy first; the server makes it whole once nothing moves any more.
    await until(() => {
      const [red = 0, green = 0, blue = 0] = heard.canvas.at(100, 50)
      const close = Math.abs(red - 100) < 24 && Math.abs(green - 63) < 24 && Math.abs(blue - 128) < 24
      return close && heard.canvas.at(100, 50).join() !== '100,63,128'
    }, 'a lossy picture')
    source.destroy()
  })

  it('pauses: no request, no picture', async () => {
    const { heard, source } = await openLab(lab, spares)
    await ownPointer(source, lab)
    await same(heard, lab)
    source.pause()
    const painted = heard.canvas.flushes
    const other = await openLab(lab, spares)
    // Each seen by somebody else, a round trip through the server that would have let a picture through.
    for (const [colour, seen] of [
      ['#112233', '17,34,51'],
      ['#223344', '34,51,68'],
      ['#445566', '68,85,102'],
    ] as const) {
      await lab.run('xsetroot', '-solid', colour)
      await until(() => other.heard.canvas.at(600, 390).join() === seen)
    }
    // The one request that was out has been answered, and no other.
    expect(heard.canvas.flushes).toBeLessThanOrEqual(painted + 1)
    source.resume()
    await until(() => heard.canvas.at(600, 390).join() === '68,85,102')
    other.source.destroy()
    source.destroy()
  })

  it('tells a wrong password, and sends none without a grant for plain', async () => {
    const { events } = listener()
    const wrong = await openVnc(targetOf(lab), passwordOf('not-it').login, events, never, house())
    expect(wrong).toMatchObject({ ok: false, failure: { code: 'wrong-credential' } })
    const asked = passwordOf(lab.password)
    const plain = await openVnc(targetOf(lab, { security: 'x509' }), asked.login, events, never, house())
    expect(plain).toMatchObject({ ok: false, failure: { code: 'no-encryption' } })
    const other = passwordOf(lab.password, 'someone-else')
    const account = await openVnc(targetOf(lab), other.login, events, never, house())
    expect(account).toMatchObject({ ok: false, failure: { code: 'credential-refused' } })
    // A pinned certificate that the server suddenly does not show is an alarm, whatever else is allowed.
    const stripped = await openVnc(
      targetOf(lab, {
        identities: [describeCertificate(Buffer.from('x'))],
        security: 'plain',
        authentication: 'none',
      }),
      asked.login,
      events,
      never,
      house(),
    )
    expect(stripped).toMatchObject({ ok: false, failure: { code: 'identity-changed' } })
    expect(asked.asked.times).toBe(0)
    expect(await probeVnc({ host: lab.host, port: lab.port }, systemClock)).toEqual({
      ok: true,
      identity: null,
      vnc: { security: 'plain', authentication: 'password' },
    })
  })

  it('gives up at once when told to', async () => {
    const abort = new AbortController()
    const { events } = listener()
    const opening = openVnc(
      targetOf(lab),
      async () => {
        abort.abort()
        return null
      },
      events,
      abort.signal,
      house(),
    )
    expect(await opening).toMatchObject({ ok: false, failure: { code: 'cancelled' } })
  })

  it('ends politely', async () => {
    const { heard, source } = await openLab(lab, spares)
    source.end()
    await until(() => heard.closed !== null)
    expect(heard.closed).toBe('shell-ended')
  })
})

describe.skipIf(missing)(title('vnc security against Xtigervnc'), () => {
  let spares: DecoderSpares
  beforeAll(async () => {
    spares = await startSpares()
  })
  afterAll(() => spares?.stop())
  const house = () => ({ clock: systemClock, children: spares })

  it('X509Vnc: pinned, probed, and a changed certificate refused before the credential', async () => {
    const lab = await startVnc({ security: 'X509Vnc,TLSVnc,VncAuth', certificate: true })
    const { source, identity, algorithms, heard } = await openLab(lab, spares)
    expect(identity).toEqual(describeCertificate(lab.certificate ?? Buffer.alloc(0)))
    expect(algorithms).toMatchObject({ encryption: 'x509', authentication: 'vnc' })
    await same(heard, lab)
    const probed = await probeVnc({ host: lab.host, port: lab.port }, systemClock)
    expect(probed).toEqual({ ok: true, identity, vnc: { security: 'x509', authentication: 'password' } })
    lab.kill()
    await until(() => heard.closed !== null)
    expect(heard.closed).toBe('asset-lost')
    expect(source.backlog).toBe(0)
    await lab.stop()
    const changed = await startVnc({ security: 'X509Vnc', certificate: true, port: lab.port })
    const { login, asked } = passwordOf(lab.password)
    const { events } = listener()
    const answer = await openVnc(targetOf(lab), login, events, never, house())
    expect(answer).toMatchObject({
      ok: false,
      failure: {
        code: 'identity-changed',
        seen: describeCertificate(changed.certificate ?? Buffer.alloc(0)),
      },
    })
    expect(asked.times).toBe(0)
    expect(changed.log()).not.toMatch(/Authentication|password/i)
    await changed.stop()
  })

  it('TLSVnc: anonymous, so only by exception', async () => {
    const lab = await startVnc({ security: 'TLSVnc' })
    const { source, identity, algorithms, heard } = await openLab(lab, spares)
    expect(identity).toBeNull()
    expect(algorithms).toMatchObject({ encryption: 'anonymous-tls', authentication: 'vnc', tls: 'TLSv1.2' })
    await until(() => heard.canvas.flushes > 1)
    source.destroy()
    const { login, asked } = passwordOf(lab.password)
    const refused = await openVnc(
      targetOf(lab, { security: 'x509' }),
      login,
      listener().events,
      never,
      house(),
    )
    expect(refused).toMatchObject({ ok: false, failure: { code: 'unauthenticated-encryption' } })
    expect(asked.times).toBe(0)
    await lab.stop()
  })

  it('no authentication: only by exception, and no credential is fetched', async () => {
    const lab = await startVnc({ security: 'X509None,TLSNone,None', certificate: true })
    const { login, asked } = passwordOf('unused')
    const refused = await openVnc(targetOf(lab), login, listener().events, never, house())
    expect(refused).toMatchObject({ ok: false, failure: { code: 'no-authentication' } })
    const { source, algorithms } = await openLab(lab, spares, {}, { authentication: 'none' })
    expect(algorithms).toMatchObject({ encryption: 'x509', authentication: 'none' })
    source.destroy()
    const plain = await openLab(
      lab,
      spares,
      {},
      { authentication: 'none', security: 'plain', identities: [] },
    ).catch(String)
    // A certificate is on offer but none is pinned: somebody must accept it first.
    expect(plain).toContain('identity-changed')
    expect(asked.times).toBe(0)
    await lab.stop()
  })
})

describe.skipIf(missing)(title('vnc source against x11vnc'), () => {
  for (const version of ['3.3', '3.7'])
    it(`signs in and paints with RFB ${version}`, async () => {
      const spares = await startSpares()
      const lab = await startVnc({
        x11vnc: ['-rfbversion', version, '-noxdamage', '-wait', '10', '-defer', '5'],
      })
      const { source, algorithms, heard } = await openLab(lab, spares)
      expect(algorithms.rfb).toBe(version)
      await lab.run('xsetroot', '-mod', '5', '5', '-fg', 'red', '-bg', 'blue')
      await same(heard, lab)
      source.destroy()
      await lab.stop()
      await spares.stop()
    })
})
