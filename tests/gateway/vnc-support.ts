import { systemClock } from '../../broker/domain/clock.ts'
import { Secret } from '../../broker/domain/secret.ts'
import { DecoderSpares } from '../../gateway/desktop/child/spares.ts'
import type { DesktopEvents } from '../../gateway/desktop/source.ts'
import { PICTURES, type Pictures } from '../../gateway/desktop/vnc/encodings.ts'
import { openVnc, type VncTarget } from '../../gateway/desktop/vnc/open-vnc.ts'
import { vncProgram } from '../../gateway/desktop/vnc/vnc-program.ts'
import type { Login } from '../../gateway/session/source.ts'
import { describeCertificate } from '../../gateway/target/certificate.ts'
import { difference, PixelCanvas } from '../lab/pixel-canvas.ts'
import { until } from '../lab/until.ts'
import type { LabVnc } from '../lab/vnc-server.ts'

export const startSpares = () => DecoderSpares.start(vncProgram(), systemClock)

export function listener() {
  const canvas = new PixelCanvas()
  const heard = {
    canvas,
    clipboard: [] as string[],
    bells: 0,
    changed: 0,
    closed: null as string | null,
    why: '',
  }
  const events: DesktopEvents = {
    canvas,
    clipboard: (text) => heard.clipboard.push(text),
    bell: () => {
      heard.bells++
    },
    identityChanged: () => {
      heard.changed++
    },
    drain: () => {},
    closed: (code, message) => {
      heard.closed = heard.closed === null ? code : `twice: ${heard.closed}, ${code}`
      heard.why = message
    },
  }
  return { heard, events }
}

export function passwordOf(password: string, account = 'vnc') {
  const asked = { times: 0 }
  const login = async (): Promise<Login> => {
    asked.times++
    return { kind: 'password', account, password: new Secret(Buffer.from(password)) }
  }
  return { asked, login }
}

export function targetOf(
  lab: Pick<LabVnc, 'host' | 'port' | 'certificate'>,
  rules: Partial<VncTarget> = {},
): VncTarget {
  return {
    address: { host: lab.host, port: lab.port },
    identities: lab.certificate ? [describeCertificate(lab.certificate)] : [],
    account: 'vnc',
    security: lab.certificate === null ? 'plain' : 'x509',
    authentication: 'password',
    ...rules,
  }
}

export const never = new AbortController().signal

/** Opens and starts the pictures, or throws what went wrong. */
export async function openLab(
  lab: LabVnc,
  spares: DecoderSpares,
  pictures: Partial<Pictures> = {},
  rules: Partial<VncTarget> = {},
) {
  const { heard, events } = listener()
  const answer = await openVnc(targetOf(lab, rules), passwordOf(lab.password).login, events, never, {
    clock: systemClock,
    children: spares,
    pictures: { ...PICTURES, ...pictures },
  })
  if (!answer.ok) throw new Error(answer.failure.code)
  answer.opened.source.resume()
  return { heard, ...answer.opened }
}

/** Waits until the canvas shows what the X server has; says the difference when it never does. */
export async function same(heard: { canvas: PixelCanvas }, lab: LabVnc, within = 0) {
  let last: string | null = 'nothing'
  await until(
    async () => {
      last = difference(heard.canvas, (await lab.picture()).pixels, within)
      return last === null
    },
    'the picture is the X server’s',
    15_000,
  ).catch((error) => {
    throw new Error(`${String(error)}: ${last}`)
  })
}
