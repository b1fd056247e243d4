import { sign } from 'node:crypto'
import { noteSignatureLine, signedNote } from '../../../broker/contract/checkpoint.ts'
import { PACKAGE_FILES } from '../../../recordings/format/package-layout.ts'
import { keys, noteOf, ORIGIN } from '../fixture.ts'
import { type Ed25519Pair, hashHex, idOf } from '../fixture-keys.ts'
import { type Case, invalid } from './case.ts'

/** Checks 5 and 6: entries, checkpoints and cosignatures. */
export const LOG: Case[] = [
  // Threat 11: the log was cut behind the auditor's checkpoint and has grown again.
  invalid(
    'log-tail-cut',
    { log: 'consistency-failed' },
    {
      trust: (trust) => {
        const lost = [hashHex('lost 0'), hashHex('lost 1'), hashHex('lost 2')].map((one) =>
          Buffer.from(one, 'hex'),
        )
        trust.checkpoints = [noteOf(lost, keys.log)]
      },
    },
  ),
  invalid(
    'log-consistency-forged',
    { log: 'consistency-failed' },
    {
      earlier: (lines) => {
        const line = lines[1] as { path: string[] }
        line.path = line.path.map(() => hashHex('forged'))
      },
    },
  ),
  invalid(
    'log-checkpoint-by-stranger',
    { log: 'checkpoint-signature' },
    { signers: { log: { ...keys.log, key: keys.stranger.key } } },
  ),
  invalid(
    'log-entry-altered',
    { log: 'entry-inclusion' },
    {
      entryLines: (lines) => {
        const line = lines[0] as { entry: string }
        line.entry = line.entry.replace('"ok"', '"denied"')
      },
    },
  ),
  invalid(
    'log-entry-unknown-field',
    { log: 'entry-unknown-field' },
    {
      entries: (entries) => Object.assign(entries[0] as object, { zz: 1 }),
    },
  ),
  invalid(
    'log-start-of-another-session',
    { log: 'entry-mismatch' },
    {
      entries: (entries) => {
        const start = entries.find((entry) => entry.action === 'session.start')
        if (start) start.correlation.session = idOf('another session')
      },
    },
  ),
  invalid(
    'log-entry-left-out',
    { log: 'entry-missing' },
    {
      entryLines: (lines) => {
        lines.splice(3, 1)
      },
    },
  ),
  invalid(
    'log-checkpoint-malformed',
    {
      package: 'key-unknown',
      anchors: 'anchor-entry-missing',
      log: 'checkpoint-malformed',
      authority: 'approval-entry-missing',
    },
    { files: (files) => files.set(PACKAGE_FILES.checkpoint, Buffer.from('12 entries\n')) },
  ),
  invalid(
    'log-entry-not-canonical',
    { log: 'entry-not-canonical' },
    { leafText: (text, index) => (index === 0 ? text.replace(':', ': ') : text) },
  ),
  invalid(
    'log-entry-malformed',
    { log: 'entry-malformed' },
    { leafText: (text, index) => (index === 0 ? '{}' : text) },
  ),
  invalid(
    'log-entries-swapped',
    { log: 'entry-order' },
    { entryLines: (lines) => void lines.splice(0, 2, ...lines.slice(0, 2).reverse()) },
  ),
  invalid(
    'log-of-another-epoch',
    { log: 'checkpoint-origin' },
    {
      trust: (trust) => {
        trust.log.origin = trust.log.origin.replace(/1$/, '2')
      },
    },
  ),
  invalid(
    'witness-forged',
    { witness: 'cosignature-invalid' },
    { cosigned: true, signers: { witness: keys.stranger } },
  ),
  invalid(
    'witness-malformed',
    { witness: 'cosignature-malformed' },
    {
      files: (files) => files.set(PACKAGE_FILES.cosignatures, Buffer.from('no signature line\n')),
    },
    {},
  ),
  invalid(
    'log-key-not-yet-valid',
    { log: 'checkpoint-signature' },
    {
      trust: (trust) => {
        for (const key of trust.log.keys) key.from_index = 10_000
      },
    },
  ),
  invalid(
    'log-key-no-longer-valid',
    { log: 'checkpoint-signature' },
    {
      trust: (trust) => {
        for (const key of trust.log.keys) key.to_index = 5
      },
    },
  ),
  invalid(
    'log-earlier-checkpoint-by-stranger',
    { log: 'checkpoint-signature' },
    {
      earlier: (lines) =>
        void Object.assign(lines[0] ?? {}, { note: resigned(lines[0]?.note, ORIGIN, keys.stranger) }),
    },
  ),
  invalid(
    'log-earlier-checkpoint-of-another-epoch',
    { log: 'checkpoint-origin' },
    {
      earlier: (lines) => {
        const origin = ORIGIN.replace(/1$/, '2')
        Object.assign(lines[0] ?? {}, { note: resigned(lines[0]?.note, origin, keys.log) })
      },
    },
  ),
  // A number with a fraction makes its line no JSON, and nothing after it is read.
  invalid(
    'log-entries-with-fraction',
    { anchors: 'anchor-entry-missing', log: 'entry-malformed', authority: 'approval-entry-missing' },
    {
      files: (files) => {
        const lines = (files.get(PACKAGE_FILES.entries) as Buffer).toString()
        files.set(PACKAGE_FILES.entries, Buffer.from(lines.replace('"index":0,', '"index":0.0,')))
      },
    },
  ),
  invalid(
    'log-manifest-superseded',
    { log: 'manifest-superseded' },
    {
      entries: (entries) => {
        const manifest = entries.find((entry) => entry.action === 'recording.manifest')
        const last = entries.findLastIndex((entry) => entry.action === 'recording.export')
        const details = { manifest: hashHex('a later manifest'), ended: 'clean' }
        if (manifest) entries[last] = { ...manifest, id: idOf('a later manifest'), details }
      },
    },
  ),
]

/** The same size and root, of a log with that origin, by that key. */
function resigned(note: string | undefined, origin: string, by: Ed25519Pair): string {
  const [, size, root] = (note ?? '').split('\n')
  const body = `${origin}\n${size}\n${root}\n`
  const signature = sign(null, Buffer.from(body), by.key)
  return signedNote(body, [noteSignatureLine({ name: origin, publicKey: keys.log.raw }, signature)])
}
