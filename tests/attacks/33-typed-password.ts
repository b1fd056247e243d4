import { readdir, readFile } from 'node:fs/promises'
import path from 'node:path'
import type { JWK } from 'jose'
import { expect, it } from 'vitest'
import { joinInputShares } from '../../broker/keys/keys.ts'
import { openSegment } from '../../recordings/archive/open-segment.ts'
import type { System } from './system.ts'

/** Threat 33: a password that is typed into a session, at a prompt that does not echo, is found in its recording. */
export function typedPassword(system: () => System): void {
  it('is in nothing that the replay key opens, and in what two custodians open together', async () => {
    const { story, plant, machine } = system()
    const robot = await machine()
    const { terminal, id } = await story.session(robot)
    const typed = 'Zebra-7-kettle-91'
    terminal.type('su -c true; echo gone-on-$((40+2))\n')
    await terminal.sees('assword:')
    terminal.type(`${typed}\n`)
    await terminal.sees('gone-on-42')
    terminal.leave()
    await story.ended(id, { end: 'vendor-left', sentence: /./, recording: 'complete' })
    const { recordingId } = await story.view(id)

    const folder = path.join(plant.dataDir, 'recordings')
    const { keys } = plant.broker
    const replay = keys.replay.reveal()
    const shares = [
      ...(await readFile(path.join(plant.dataDir, 'broker', 'OFFLINE-KEYS.txt'), 'utf8')).matchAll(
        /^share\s+(\S+)$/gm,
      ),
    ].map(([, share = '']) => share)
    const input = (await joinInputShares(shares.slice(0, 2), keys.recordingKeys.input)).reveal()
    const opened = (key: JWK) => openAll(folder, recordingId, key)

    const byReplay = await opened(replay)
    expect([...byReplay.keys()]).toEqual(['screen/0'])
    expect(byReplay.get('screen/0')).toContain('gone-on-42')
    expect([...byReplay.values()].join()).not.toContain(typed)
    const byCustodians = await opened(input)
    expect([...byCustodians.keys()]).toEqual(['input/0'])
    // Keystrokes are events of their own when they were typed so: here it came in one message.
    expect(byCustodians.get('input/0')).toContain(typed)

    const log = await plant.broker.store.db.sql`
      SELECT 1 FROM audit.entry WHERE convert_from(bytes, 'UTF8') LIKE ${`%${typed}%`}`
    expect(log).toHaveLength(0)
    // Nor does it lie about in the clear on the machines of broker or gateway.
    for (const file of await readdir(plant.dataDir, { recursive: true, withFileTypes: true })) {
      if (!file.isFile() || /postgres|pgdata/.test(file.parentPath)) continue
      const bytes = await readFile(path.join(file.parentPath, file.name)).catch(() => Buffer.alloc(0))
      expect(bytes.includes(typed), path.join(file.parentPath, file.name)).toBe(false)
    }

    // What auditors are shown, search, and take away.
    const text = await story.paul.fetch('GET', `/api/recordings/${recordingId}/text?search=${typed}`)
    expect(text.raw.toString()).not.toContain(typed)
    const screen = await story.paul.fetch('GET', `/api/recordings/${recordingId}/screen/0`)
    expect(screen.status).toBe(200)
    expect(screen.raw.toString()).not.toContain(typed)
  })
}

/** Every segment of a recording that `key` opens. */
async function openAll(folder: string, recording: string, key: JWK): Promise<Map<string, string>> {
  const found = new Map<string, string>()
  const objects = path.join(folder, 'objects', recording)
  const wraps = path.join(folder, 'keys', recording, 'keys')
  for (const stream of ['screen', 'input'] as const)
    for (const name of await readdir(path.join(objects, stream))) {
      const segment = Number(name.replace('.spr', ''))
      const wrap = await readFile(path.join(wraps, `${stream}-${segment}.jwe`), 'utf8')
      async function* bytes() {
        yield await readFile(path.join(objects, stream, name))
      }
      const opened = await openSegment(bytes(), wrap, { recording, stream, segment }, key)
      if (opened.ok) found.set(`${stream}/${segment}`, opened.content.toString('utf8'))
    }
  return found
}
