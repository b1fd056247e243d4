import {
  checkpointBody,
  type NoteKey,
  noteSignatureLine,
  parseCheckpoint,
  signedNote,
  verifyCheckpoint,
} from '../contract/checkpoint.ts'
import type { Database, Query } from '../store/sql.ts'
import { IntegrityError } from './integrity.ts'
import { readNodes } from './nodes.ts'
import { logSize } from './sequencer.ts'
import { frontier, rootOf } from './tree.ts'

/** The log key, as far as the log needs it. */
export interface LogSigner {
  /** Raw Ed25519 public key, 32 bytes. */
  publicKey: Uint8Array
  sign(data: Uint8Array): Uint8Array
  /** Earlier log keys, for checkpoints signed before a rotation. */
  earlier?: readonly Uint8Array[]
}

export interface SignedTreeHead {
  size: number
  root: Buffer
  /** The C2SP signed note. */
  note: string
}

/** The tree hash of the first `size` entries, from stored nodes. */
export async function rootAt(query: Query, size: number): Promise<Buffer> {
  return rootOf(size, await readNodes(query, frontier(size)))
}

/** Throws unless the log, as it stands, still begins with the entries that `head` was signed over. */
export async function mustExtend(query: Query, head: SignedTreeHead): Promise<void> {
  const size = await logSize(query)
  if (size < head.size) {
    throw new IntegrityError(
      'log-tail-missing',
      `size ${head.size}`,
      `The audit log has ${size} entries, but a checkpoint was signed over ${head.size}: its end has been cut off.`,
    )
  }
  if (!(await rootAt(query, head.size)).equals(head.root)) {
    throw new IntegrityError(
      'log-rewritten',
      `size ${head.size}`,
      `The first ${head.size} entries of the audit log are not those that its checkpoint was signed over.`,
    )
  }
}

/** Signs the log as it stands, after making sure that it extends the previous head. */
export async function signCheckpoint(
  db: Database,
  options: { origin: string; epoch: number; logKey: LogSigner; previous: SignedTreeHead | null },
): Promise<SignedTreeHead> {
  const { origin, epoch, logKey, previous } = options
  // One snapshot for size and nodes; the row is written outside it, because another broker may write the same one.
  const head = await db.tx(async (tx) => {
    if (previous) await mustExtend(tx, previous)
    const size = await logSize(tx)
    if (previous && previous.size === size) return previous
    const root = await rootAt(tx, size)
    const body = checkpointBody({ origin, size, root })
    const key: NoteKey = { name: origin, publicKey: logKey.publicKey }
    const note = signedNote(body, [noteSignatureLine(key, logKey.sign(Buffer.from(body)))])
    // Verified as any reader would before it leaves: a broken key must fail here, loudly.
    const read = parseCheckpoint(note)
    if (!read || !verifyCheckpoint(read, key)) throw new Error('the log key signs what does not verify')
    return { size, root, note }
  }, 'repeatable read read only')
  if (head !== previous) {
    await db.sql`INSERT INTO audit.checkpoint (epoch, size, root, note)
      VALUES (${epoch}, ${head.size}, ${head.root}, ${head.note}) ON CONFLICT (epoch, size) DO NOTHING`
  }
  return head
}

/** Reads and verifies a checkpoint of ours, by the present or an earlier log key. */
export function readOwnCheckpoint(note: string, origin: string, logKey: LogSigner): SignedTreeHead {
  const read = parseCheckpoint(note)
  const keys = [logKey.publicKey, ...(logKey.earlier ?? [])]
  if (!read || !keys.some((publicKey) => verifyCheckpoint(read, { name: origin, publicKey }))) {
    throw new IntegrityError(
      'checkpoint-not-ours',
      origin,
      'A stored checkpoint of the audit log is not signed by the log key.',
    )
  }
  return { size: read.size, root: read.root, note }
}
