import { MessageChannel, type MessagePort, Worker } from 'node:worker_threads'

export interface ScreenModelThread {
  /** A port for one session worker: transfer it, then `screenModelOver(port)` there. */
  connect(): MessagePort
  /** Settles when the thread has died without `stop`: sessions can't cut keyframes any more. */
  died: Promise<Error>
  /** Microseconds of processor time that the thread has used. */
  cpuUsage(): Promise<{ user: number; system: number }>
  stop(): Promise<void>
}

/** Parsing leaves little behind. By default V8 lets three times 16 MiB of it lie before it looks. */
const YOUNG_MB = 6

/**
 * Starts the thread that keeps the screens of all sessions of this process. `entry`: the compiled model-thread.ts of a
 * bundle, where this module isn't beside it.
 */
export function startScreenModel(
  entry: URL | string = new URL('./model-thread.ts', import.meta.url),
): ScreenModelThread {
  const worker = new Worker(entry, {
    name: 'screen-model',
    env: {},
    resourceLimits: { maxYoungGenerationSizeMb: YOUNG_MB },
  })
  let isStopping = false
  const died = new Promise<Error>((resolve) => {
    worker.once('error', (error) => resolve(error instanceof Error ? error : new Error(String(error))))
    worker.once('exit', (code) => {
      if (!isStopping) resolve(new Error(`the screen model thread ended with status ${code}`))
    })
  })
  return {
    died,
    connect() {
      const { port1, port2 } = new MessageChannel()
      worker.postMessage(port1, [port1])
      return port2
    },
    cpuUsage: () => worker.cpuUsage(),
    async stop() {
      isStopping = true
      await worker.terminate()
    },
  }
}
