import type { Clock } from '../../broker/domain/clock.ts'
import type { Grant } from '../../broker/domain/grant.ts'
import type { ChildProgram } from '../desktop/child/sandbox.ts'
import { DecoderSpares } from '../desktop/child/spares.ts'
import { EncodePool } from '../desktop/encode/pool.ts'
import type { DesktopAnswer } from '../desktop/failure.ts'
import { rdpFailure } from '../desktop/rdp/failure.ts'
import { openRdp } from '../desktop/rdp/open-rdp.ts'
import { rdpProgram } from '../desktop/rdp/rdp-program.ts'
import type { Desk, DesktopEvents } from '../desktop/source.ts'
import { vncFailure } from '../desktop/vnc/failure.ts'
import { openVnc } from '../desktop/vnc/open-vnc.ts'
import { vncProgram } from '../desktop/vnc/vnc-program.ts'
import type { DesktopPorts } from '../session/desktop-medium.ts'
import type { Login } from '../session/source.ts'

/** The decoding processes of one protocol that wait for their session; the first is started with the first desktop. */
class Decoders {
  readonly #program: () => ChildProgram
  readonly #clock: Clock
  #spares: Promise<DecoderSpares> | null = null

  constructor(program: () => ChildProgram, clock: Clock) {
    this.#program = program
    this.#clock = clock
  }

  /** Null when none can be started; the next opening tries again. */
  async get(): Promise<DecoderSpares | null> {
    this.#spares ??= DecoderSpares.start(this.#program(), this.#clock)
    try {
      return await this.#spares
    } catch {
      this.#spares = null
      return null
    }
  }

  async stop(): Promise<void> {
    await (await this.#spares?.catch(() => null))?.stop()
  }
}

/**
 * What the desktops of one session worker share: the threads that encode and the decoding processes that wait. Both come
 * with the first desktop of their kind, so a plant without one pays for neither.
 */
export class Desktops {
  readonly #clock: Clock
  readonly #encoders = new EncodePool()
  readonly #vnc: Decoders
  readonly #rdp: Decoders

  constructor(clock: Clock) {
    this.#clock = clock
    this.#vnc = new Decoders(vncProgram, clock)
    this.#rdp = new Decoders(rdpProgram, clock)
  }

  /** The way to the desktop that a grant names. */
  ports(
    grant: Grant,
    login: () => Promise<Login | null>,
  ): Pick<DesktopPorts, 'name' | 'viewOnly' | 'clipboard' | 'encoders' | 'open'> {
    const { features, viewOnly, asset } = grant
    const clipboard = {
      in: features.includes('clipboard-paste') && !viewOnly,
      out: features.includes('clipboard-copy'),
    }
    return {
      name: asset.name,
      viewOnly,
      clipboard,
      encoders: this.#encoders,
      open: (events, signal, desk) =>
        grant.rdp
          ? this.#openRdp(grant, grant.rdp, clipboard, desk, login, events, signal)
          : this.#openVnc(grant, login, events, signal),
    }
  }

  async #openVnc(
    { vnc, address, identities, account }: Grant,
    login: () => Promise<Login | null>,
    events: DesktopEvents,
    signal: AbortSignal,
  ): Promise<DesktopAnswer> {
    const children = await this.#vnc.get()
    if (!children || !vnc) return { ok: false, failure: vncFailure('decoder-failed') }
    const target = { ...vnc, address, identities, account }
    const house = { clock: this.#clock, children }
    return withLevel(children, await openVnc(target, login, events, signal, house))
  }

  async #openRdp(
    { address, identities, account }: Grant,
    security: NonNullable<Grant['rdp']>,
    clipboard: DesktopPorts['clipboard'],
    desk: Desk,
    login: () => Promise<Login | null>,
    events: DesktopEvents,
    signal: AbortSignal,
  ): Promise<DesktopAnswer> {
    const children = await this.#rdp.get()
    if (!children) return { ok: false, failure: rdpFailure('decoder-failed') }
    const target = { ...security, address, identities, account, clipboard }
    const house = { clock: this.#clock, children }
    return withLevel(children, await openRdp(target, desk, login, events, signal, house))
  }

  async stop(): Promise<void> {
    await Promise.all([this.#vnc.stop(), this.#rdp.stop(), this.#encoders.stop()])
  }
}

/** How far a decoder that was taken over could reach is part of what was agreed on with the asset. */
function withLevel({ sandbox }: DecoderSpares, answer: DesktopAnswer): DesktopAnswer {
  if (answer.ok) answer.opened.algorithms.decoder = sandbox.level
  return answer
}
