/**
 * Compares two terminals field by field over everything that hangs on them, so that a state which nobody thought of
 * cannot hide: `describeState` names what a keyframe must bring back, this finds what it does not name.
 */
export function differences(left: object, right: object, isLeftOut: (path: string) => boolean): string[] {
  const found: string[] = []
  const twins = new Map<object, object>()
  const walk = (a: unknown, b: unknown, path: string): void => {
    if (a === b || typeof a === 'function' || isLeftOut(path)) return
    if (typeof a !== 'object' || typeof b !== 'object' || a === null || b === null) {
      if (!Object.is(a, b)) found.push(`${path}: ${String(a)} and ${String(b)}`)
      return
    }
    const known = twins.get(a)
    if (known) {
      // Two names of one thing on the left must be two names of one thing on the right.
      if (known !== b) found.push(`${path}: another object`)
      return
    }
    twins.set(a, b)
    if (a instanceof Map && b instanceof Map) {
      walk([...a], [...b], path)
      return
    }
    if (a instanceof Set && b instanceof Set) {
      walk([...a], [...b], path)
      return
    }
    const names = new Set([...Reflect.ownKeys(a), ...Reflect.ownKeys(b)])
    for (const name of names) {
      walk(
        (a as Record<PropertyKey, unknown>)[name],
        (b as Record<PropertyKey, unknown>)[name],
        `${path}.${String(name)}`,
      )
    }
  }
  walk(left, right, '')
  return found
}
