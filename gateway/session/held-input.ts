interface HeldKey {
  keysym: number
  scancode: number | null
}

/** More keys at once than any person has fingers for. */
const MOST_KEYS = 64

/**
 * What a person holds down on an asset's desktop. When they go, or may not act any more, it is let go: a machine must not
 * go on jogging because the browser that pressed the key is gone.
 */
export class HeldInput {
  readonly #keys = new Map<string, HeldKey>()
  #pointer = { x: 0, y: 0, buttons: 0 }

  /** Whether one more key may go down; what is down already may again. */
  hasRoom(keysym: number, scancode: number | null): boolean {
    return this.#keys.size < MOST_KEYS || this.#keys.has(nameOf(keysym, scancode))
  }

  /**
   * `byPlace`: the asset knows keys by their place, so one that comes up as another symbol (Shift was let go first) is the
   * same key. By symbol alone, the one that went down stays down for it.
   */
  key(down: boolean, keysym: number, scancode: number | null, byPlace: boolean): void {
    if (down) {
      this.#keys.set(nameOf(keysym, scancode), { keysym, scancode })
      return
    }
    this.#keys.delete(nameOf(keysym, scancode))
    if (!byPlace || scancode === null) return
    for (const [name, held] of this.#keys) if (held.scancode === scancode) this.#keys.delete(name)
  }

  pointer(x: number, y: number, buttons: number): void {
    this.#pointer = { x, y, buttons }
  }

  /** What lets go of everything, in the order in which it was pressed. Nothing is held after it. */
  release(): { keys: HeldKey[]; pointer: { x: number; y: number } | null } {
    const keys = [...this.#keys.values()]
    this.#keys.clear()
    const { x, y, buttons } = this.#pointer
    this.#pointer = { x, y, buttons: 0 }
    return { keys, pointer: buttons === 0 ? null : { x, y } }
  }
}

const nameOf = (keysym: number, scancode: number | null) => `${scancode}/${keysym}`
