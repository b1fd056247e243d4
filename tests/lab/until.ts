/** Waits for a condition, never for time. The deadline only tells a hang from a slow machine. */
export async function until(
  met: () => boolean | Promise<boolean>,
  what = 'condition',
  withinMs = 30_000,
): Promise<void> {
  const deadline = performance.now() + withinMs
  while (!(await met())) {
    if (performance.now() > deadline) throw new Error(`${what} not met within ${withinMs} ms`)
    await new Promise((done) => setTimeout(done, 5))
  }
}
