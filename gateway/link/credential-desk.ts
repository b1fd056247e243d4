import type { ControlLink } from './control-link.ts'

const WAIT_MS = 8000

/** Questions for credentials that wait for a broker's answer. Each is asked once: a second fetch is refused anyway. */
export class CredentialDesk {
  readonly #waiting = new Map<number, { link: ControlLink; resolve: (jwe: string | null) => void }>()
  #next = 1

  ask(link: ControlLink, ask: { session: string; grant: string }): Promise<string | null> {
    const id = this.#next++
    const { promise, resolve } = Promise.withResolvers<string | null>()
    const timer = setTimeout(() => resolve(null), WAIT_MS)
    this.#waiting.set(id, { link, resolve })
    if (!link.send({ type: 'credential', id, grant: ask.grant, session: ask.session })) resolve(null)
    return promise.finally(() => {
      clearTimeout(timer)
      this.#waiting.delete(id)
    })
  }

  answered(link: ControlLink, id: number, jwe: string | null): void {
    const waiting = this.#waiting.get(id)
    if (waiting?.link === link) waiting.resolve(jwe)
  }

  lost(link: ControlLink): void {
    for (const waiting of this.#waiting.values()) if (waiting.link === link) waiting.resolve(null)
  }
}
