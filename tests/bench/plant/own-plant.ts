import { type ChildProcess, fork } from 'node:child_process'
import { join } from 'node:path'
import type { VncSecurity } from '../../../broker/domain/vnc.ts'
import type { LabTarget } from '../../lab/plant.ts'

export interface PlantTarget extends LabTarget {
  /** How many assets lead there. */
  assets: number
  /** A VNC server, protected so; an SSH server without. */
  vnc?: VncSecurity
}

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
  pid: number
  /** Opens an approved session on one of the prepared assets. */
  openSession(asset: number): Promise<OpenSession>
  /** Bytes of the recording of the session that was opened last, when it has been delivered. */
  recordedBytes(): Promise<number>
  stop(): Promise<void>
}

/** Our own product in processes of its own (plant-process.ts), so the bench's client shares nothing with it. */
export async function startOwnPlant(target: PlantTarget): Promise<OwnPlant> {
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
    pid: child.pid ?? -1,
    openSession: (asset) => ask<OpenSession>('open', asset),
    recordedBytes: () => ask<number>('recorded', null),
    async stop() {
      await ask('stop', null)
      child.disconnect()
    },
  }
}
