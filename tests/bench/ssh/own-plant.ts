import { type ChildProcess, fork } from 'node:child_process'
import { join } from 'node:path'

export interface OpenSession {
  sessionId: string
  socket: string
  ticket: string
  cookie: string
  origin: string
  host: string
  port: number
  ca: string
}

export interface OwnPlant {
  /** Opens an approved session on one of the prepared assets. */
  openSession(asset: number): Promise<OpenSession>
  stop(): Promise<void>
}

/** Our own product in processes of its own (plant-process.ts), so the bench's client shares nothing with it. */
export async function startOwnPlant(target: {
  port: number
  user: string
  privateKey: string
  assets: number
}): Promise<OwnPlant> {
  const child: ChildProcess = fork(join(import.meta.dirname, 'plant-process.ts'), {
    stdio: ['ignore', 'ignore', 'inherit', 'ipc'],
  })
  let next = 0
  const ask = <T>(what: string, input: unknown): Promise<T> =>
    new Promise((resolve, reject) => {
      const id = next++
      const answered = (message: { id: number; value?: T; error?: string }) => {
        if (message.id !== id) return
        child.off('message', answered)
        if (message.error !== undefined) reject(new Error(message.error))
        else resolve(message.value as T)
      }
      child.on('message', answered)
      child.send({ id, what, input })
    })
  await ask('start', target)
  return {
    openSession: (asset) => ask<OpenSession>('open', asset),
    async stop() {
      await ask('stop', null)
      child.disconnect()
    },
  }
}
