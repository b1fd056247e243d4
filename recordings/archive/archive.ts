import { join } from 'node:path'
import type { EvidenceSink } from '../../broker/domain/ports.ts'
import type { EvidenceDesk } from './dossier.ts'
import { clearIncoming, openFolderStore } from './folder-store.ts'
import { integrityRoutes } from './integrity.ts'
import type { ArchivePorts } from './ports.ts'
import { startReplay } from './replay.ts'
import { recordingRoutes } from './routes.ts'
import { evidenceSink } from './sink.ts'
import { verifier } from './verifier.ts'

export interface ArchiveOptions {
  /** Where the evidence lies. */
  folder: string
  /** Below this much free space no new session begins. */
  reserveBytes: number
}

export interface Archive {
  sink: EvidenceSink
  routes: ReturnType<typeof recordingRoutes> & ReturnType<typeof integrityRoutes>
  space(): Promise<{ freeBytes: number; reserveBytes: number; ok: boolean }>
  close(): Promise<void>
}

/** The broker's side of recordings: takes evidence in, replays, verifies and hands it out. */
export async function openArchive(
  ports: ArchivePorts,
  desk: EvidenceDesk,
  options: ArchiveOptions,
): Promise<Archive> {
  await clearIncoming(options.folder)
  const store = await openFolderStore(options.folder, options.reserveBytes)
  const replay = startReplay(options.folder, ports.replayKey)
  const checks = verifier(store, replay, ports, desk, join(options.folder, 'packages'))
  return {
    sink: evidenceSink(store, replay, ports),
    routes: { ...recordingRoutes(ports, replay, checks), ...integrityRoutes(ports, desk) },
    space: () => store.space(),
    close: () => replay.close(),
  }
}
