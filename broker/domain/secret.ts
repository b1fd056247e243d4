import { inspect } from 'node:util'

/**
 * A value that cannot be logged: every way a logger, JSON or a template would print it gives "[secret]".
 * Only `reveal()` hands it out, so each use is one grep away.
 */
export class Secret<T = string> {
  readonly #value: T

  constructor(value: T) {
    this.#value = value
  }

  reveal(): T {
    return this.#value
  }

  toString(): string {
    return '[secret]'
  }

  toJSON(): string {
    return '[secret]'
  }

  [inspect.custom](): string {
    return '[secret]'
  }
}
