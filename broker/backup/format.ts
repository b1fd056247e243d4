import { z } from 'zod'

/** backup.json: what a backup folder holds. Written last, so a folder without it is no backup. */
export const backupManifest = z.strictObject({
  v: z.literal(1),
  deployment: z.string(),
  createdAt: z.string(),
  /** Migrations the tables belong to, in order. */
  migrations: z.array(z.strictObject({ number: z.number().int(), name: z.string(), checksum: z.string() })),
  tables: z.array(
    z.strictObject({
      /** `schema.table`; its rows are in `tables/<name>.copy` (COPY text format). */
      name: z.string().regex(/^[a-z_]+\.[a-z0-9_]+$/),
      columns: z.array(z.string()),
      rows: z.number().int(),
      sha256: z.string(),
    }),
  ),
  sequences: z.array(z.strictObject({ name: z.string(), value: z.number().int() })),
  /** Audit entries in the log at that moment. */
  logSize: z.number().int(),
  /** `encrypted`: keys.enc opens with the passphrase. `left-out`: the operator keeps the keys folder in another way. */
  keys: z.enum(['encrypted', 'left-out']),
  /** Recordings are not copied: the list says which files the evidence store held. */
  recordings: z.strictObject({ files: z.number().int(), bytes: z.number().int() }),
  /** SHA-256 of the other files, by path. */
  files: z.record(z.string(), z.string()),
})

export type BackupManifest = z.infer<typeof backupManifest>

export class BackupError extends Error {
  readonly code:
    | 'backup-target-not-empty'
    | 'backup-malformed'
    | 'backup-damaged'
    | 'backup-passphrase'
    | 'backup-newer'
    | 'data-folder-not-empty'
    | 'keys-missing'
  constructor(code: BackupError['code'], message: string) {
    super(message)
    this.code = code
  }
}
