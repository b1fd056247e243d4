import { mkdtemp, rm } from 'node:fs/promises'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { setFlagsFromString } from 'node:v8'
import { systemClock } from '../../../broker/domain/clock.ts'
import { newId } from '../../../broker/domain/ids.ts'
import type { SessionRecorder } from '../../../recordings/recorder/api.ts'
import { openRecorder } from '../../../recordings/recorder/recorder.ts'
import { screenModelOver } from '../../../recordings/screen-model/port.ts'
import { startScreenModel } from '../../../recordings/screen-model/start.ts'
import { newGrant, newKeys } from '../../recordings/recorder-fixture.ts'

// As main.ts does for a gateway.
setFlagsFromString('--external-memory-accounted-in-global-limit')

/** What a build or a log shows: colours, quotes, lines, now and then a character of two bytes. */
export function sampleOutput(bytes: number): Uint8Array {
  let text = ''
  for (let n = 0; text.length < bytes; n++) {
    text += `\x1b[32m${n}\x1b[m [info] compiling module_${n % 97}.c -O2 -Wall "path/to/file ${n % 13}" ... ${n % 7 ? 'ok' : 'prüfen'}\r\n`
  }
  return new TextEncoder().encode(text).subarray(0, bytes)
}

export const SCREEN_MODEL = new URL('../../../recordings/screen-model/model-thread.ts', import.meta.url)
export const RESTING_MODEL = new URL('./resting-model.ts', import.meta.url)

/** A process that records: chain, encryption and disk as in a gateway, the screen model on its own thread. */
export async function recordingGround(model: URL) {
  const spool = await mkdtemp(join(tmpdir(), 'sallyport-bench-'))
  const keys = newKeys()
  const thread = startScreenModel(model)
  const screenModel = screenModelOver(thread.connect())
  return {
    open: (): Promise<SessionRecorder> =>
      openRecorder({
        grant: newGrant(keys),
        grantHash: 'a'.repeat(64),
        ticketHash: null,
        gateway: { id: newId(), version: '0.1.0', bootId: newId(), signing: keys.signing },
        target: { kind: 'ssh-host-key', algorithm: 'ssh-ed25519', fingerprint: `SHA256:${'A'.repeat(43)}` },
        spool,
        clock: systemClock,
        clockState: { source: 'system', offsetMs: null },
        screenModel,
        size: { cols: 80, rows: 24 },
      }),
    remove: (recorder: SessionRecorder) => rm(join(spool, recorder.recording), { recursive: true }),
    /** Seconds of CPU so far: of the whole process, and the screen model's own part of it. */
    async cpu(): Promise<{ process: number; model: number }> {
      const model = seconds(await thread.cpuUsage())
      return { process: seconds(process.cpuUsage()), model }
    },
    async dispose(): Promise<void> {
      screenModel.close()
      await thread.stop()
      await rm(spool, { recursive: true, force: true })
    },
  }
}

export const seconds = ({ user, system }: { user: number; system: number }) => (user + system) / 1e6
