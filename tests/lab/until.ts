/** Waits for a condition, never for time. The deadline only tells a hang from a slow machine. */
export async function until(
  met: () => boolean | Promise<boolean>,
  what = 'condition',
  withinMs = 30_000,
): Promise<void> {
  const started = performance.now()
  while (!(await met())) {
    const waited = performance.now() - started
    if (waited > withinMs) throw new Error(`${what} not met within ${withinMs} ms`)
    // Often at first, then seldom: asking a broker two hundred times a second keeps it from what is waited for.
    await new Promise((done) => setTimeout(done, Math.min(5 + waited / 20, 100)))
  }
}
