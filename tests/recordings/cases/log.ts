import { PACKAGE_FILES } from '../../../recordings/format/package-layout.ts'
import { keys, noteOf } from '../fixture.ts'
import { hashHex, idOf } from '../fixture-keys.ts'
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
]
