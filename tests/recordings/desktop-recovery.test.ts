import { spawn } from 'node:child_process'
import { mkdtemp, rm } from 'node:fs/promises'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { createInterface } from 'node:readline'
import { expect, test } from 'vitest'
import { systemClock } from '../../broker/domain/clock.ts'
import { recoverSpool } from '../../recordings/spool/recover.ts'
import { until } from '../lab/until.ts'
import { desktopGrant, openDesktopSegment, played } from './desktop-recorder-fixture.ts'
import { exportSigning, newKeys, readManifest } from './recorder-fixture.ts'

interface Head {
  stream: 'screen' | 'input'
  segment: number
  seq: number
}

test('after kill -9 everything that was called durable verifies, opens and plays', async () => {
  const spool = await mkdtemp(join(tmpdir(), 'sallyport-desktop-'))
  const keys = newKeys()
  const grant = desktopGrant(keys)
  const script = new URL('./desktop-crash-child.ts', import.meta.url).pathname
  const args = [script, spool, JSON.stringify(grant), exportSigning(keys)]
  const child = spawn(process.execPath, args, { stdio: ['ignore', 'pipe', 'inherit'] })
  try {
    let heads: Head[] = []
    const lines = createInterface({ input: child.stdout })
    lines.on('line', (line) => {
      const said: { ready: true } | Head[] = JSON.parse(line)
      if (Array.isArray(said)) heads = said
    })
    const ended = new Promise<void>((resolve) => lines.once('close', resolve))
    await until(() => heads.some(({ segment }) => segment >= 2), 'a third segment to be durable')
    child.kill('SIGKILL')
    await ended
    const { recovered, unreadable } = await recoverSpool({ spool, signing: keys.signing, clock: systemClock })
    expect(unreadable).toEqual([])
    const [found] = recovered
    expect(found?.problems).toEqual([])
    const manifest = await readManifest(found?.jws ?? '', keys)
    expect(manifest).toMatchObject({ recording: grant.recording, ended: 'recovered' })
    for (const { stream, segment, seq } of heads) {
      const kept = manifest.segments.find((one) => one.stream === stream && one.number === segment)
      expect(kept?.chunks).toBeGreaterThan(seq)
    }
    for (const { stream, number, bytes } of manifest.segments) {
      const key = stream === 'screen' ? keys.replay.private : keys.input.private
      const asked = { spool, recording: grant.recording, stream, segment: number, key, limit: bytes }
      const opened = await openDesktopSegment(asked)
      if (stream === 'screen') expect(played(opened).width).toBe(640)
      else expect(opened.changes.every(({ message }) => message[0] === 5)).toBe(true)
    }
  } finally {
    child.kill('SIGKILL')
    await rm(spool, { recursive: true, force: true })
  }
}, 60_000)
