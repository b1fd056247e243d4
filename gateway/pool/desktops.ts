import type { Clock } from '../../broker/domain/clock.ts'
import type { Grant } from '../../broker/domain/grant.ts'
import { DecoderSpares } from '../desktop/child/spares.ts'
import { EncodePool } from '../desktop/encode/pool.ts'
import { vncFailure } from '../desktop/vnc/failure.ts'
import { openVnc } from '../desktop/vnc/open-vnc.ts'
import { vncProgram } from '../desktop/vnc/vnc-program.ts'
import type { DesktopPorts } from '../session/desktop-medium.ts'
import type { Login } from '../session/source.ts'

/**
 * What the desktops of one session worker share: the threads that encode and the decoding processes that wait. Both come
 * with the first desktop, so a plant without one pays for neither.
 */
export class Desktops {
  readonly #clock: Clock
  readonly #encoders = new EncodePool()
  #spares: Promise<DecoderSpares> | null = null

  constructor(clock: Clock) {
    this.#clock = clock
  }

  /** The way to the desktop that a grant names. */
  ports(
    grant: Grant,
    login: () => Promise<Login | null>,
  ): Pick<DesktopPorts, 'name' | 'viewOnly' | 'clipboard' | 'encoders' | 'open'> {
    const { vnc, address, identities, account, features, viewOnly, asset } = grant
    return {
      name: asset.name,
      viewOnly,
      clipboard: {
        in: features.includes('clipboard-paste'),
        out: features.includes('clipboard-copy'),
      },
      encoders: this.#encoders,
      open: async (events, signal) => {
        const children = await this.#decoders()
        if (!children || !vnc) return { ok: false, failure: vncFailure('decoder-failed') }
        const answer = await openVnc({ ...vnc, address, identities, account }, login, events, signal, {
          clock: this.#clock,
          children,
        })
        // How far a decoder that was taken over could reach is part of what was agreed on with the asset.
        if (answer.ok) answer.opened.algorithms.decoder = children.sandbox.level
        return answer
      },
    }
  }

  async stop(): Promise<void> {
    const spares = await this.#spares?.catch(() => null)
    await Promise.all([spares?.stop(), this.#encoders.stop()])
  }

  /** Null when none can be started; the next opening tries again. */
  async #decoders(): Promise<DecoderSpares | null> {
    this.#spares ??= DecoderSpares.start(vncProgram(), this.#clock)
    try {
      return await this.#spares
    } catch {
      this.#spares = null
      return null
    }
  }
}
