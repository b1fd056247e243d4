/** A terminal on some way to the same shell: what every peer is measured through. */
export interface Terminal {
  write(text: string): void
  /** One listener at a time. */
  onData(listener: (chunk: Buffer) => void): void
  close(): Promise<void>
}

export interface Way {
  name: string
  open(): Promise<Terminal>
}

const DEADLINE_MS = 120_000

/** Waits until the collected output satisfies `found`. */
export function waitFor(terminal: Terminal, found: (tail: string) => boolean, what: string): Promise<void> {
  return new Promise((resolve, reject) => {
    let tail = ''
    const timer = setTimeout(
      () => reject(new Error(`${what}: not seen; last: ${JSON.stringify(tail.slice(-200))}`)),
      DEADLINE_MS,
    )
    terminal.onData((chunk) => {
      tail = (tail + chunk.toString('latin1')).slice(-4096)
      if (!found(tail)) return
      clearTimeout(timer)
      terminal.onData(() => undefined)
      resolve()
    })
  })
}

/** A known prompt, no line editor of the shell's: what is typed is echoed by the terminal driver alone. */
export async function settle(terminal: Terminal): Promise<void> {
  const ready = waitFor(terminal, (tail) => tail.includes('READY-42'), 'the shell')
  terminal.write('exec sh -c "stty -ixon; PS1=; echo READY-$((40+2)); exec sh"\r')
  await ready
}

/** Milliseconds from each keystroke to its echo. */
export async function echoTimes(terminal: Terminal, keys: number): Promise<number[]> {
  await run(terminal, 'stty echo; echo GO-$((1+1))', 'GO-2')
  terminal.write('cat > /dev/null\r')
  await waitFor(terminal, (tail) => tail.includes('null'), 'cat')
  const times: number[] = []
  for (let key = 0; key < keys; key++) {
    const letter = 'abcdefghij'[key % 10] ?? 'a'
    const echoed = waitFor(terminal, (tail) => tail.includes(letter), 'an echo')
    const begun = performance.now()
    terminal.write(letter)
    await echoed
    times.push(performance.now() - begun)
    if (key % 60 === 59) {
      const line = waitFor(terminal, (tail) => tail.includes('\n'), 'a line')
      terminal.write('\r')
      await line
    }
    // As a person types, not as a loop does: the next key does not ride on the last one's wake-up.
    await new Promise((done) => setTimeout(done, 4))
  }
  const ended = waitFor(terminal, (tail) => tail.includes('END-2'), 'the end of cat')
  terminal.write('\x03')
  await new Promise((done) => setTimeout(done, 50))
  terminal.write('echo END-$((1+1))\r')
  await ended
  return times
}

/** Bytes per second of one burst of `mebibytes` of terminal output. */
export async function throughput(terminal: Terminal, mebibytes: number): Promise<number> {
  await run(terminal, 'stty -echo; echo GO-$((1+1))', 'GO-2')
  let bytes = 0
  let tail = ''
  const done = new Promise<void>((resolve, reject) => {
    const timer = setTimeout(() => reject(new Error(`a burst stopped at ${bytes} bytes`)), DEADLINE_MS)
    terminal.onData((chunk) => {
      bytes += chunk.length
      tail = (tail + chunk.subarray(Math.max(0, chunk.length - 16)).toString('latin1')).slice(-16)
      if (!tail.includes('END-2')) return
      clearTimeout(timer)
      terminal.onData(() => undefined)
      resolve()
    })
  })
  const begun = performance.now()
  terminal.write(`yes ${'sallyport-'.repeat(7)} | head -c ${mebibytes * 1_048_576}; echo END-$((1+1))\r`)
  await done
  const perSecond = bytes / ((performance.now() - begun) / 1000)
  await run(terminal, 'stty echo; echo GO-$((1+1))', 'GO-2')
  return perSecond
}

async function run(terminal: Terminal, command: string, answer: string): Promise<void> {
  const seen = waitFor(terminal, (tail) => tail.includes(answer), command)
  terminal.write(`${command}\r`)
  await seen
}
