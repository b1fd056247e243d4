import { keyPath, PACKAGE_FILES, segmentPath } from '../../../recordings/format/package-layout.ts'
import { keys } from '../fixture.ts'
import { type Case, invalid, refused } from './case.ts'

/** Check 1: the zip, its list and its files. */
export const PACKAGE: Case[] = [
  invalid(
    'package-file-changed',
    { package: 'package-file-changed' },
    {
      tamper: (files) => files.set(PACKAGE_FILES.readme, Buffer.from('another text')),
    },
  ),
  invalid(
    'package-file-extra',
    { package: 'package-file-extra', content: 'wrap-malformed' },
    {
      tamper: (files) => files.set(keyPath('input', 0), Buffer.from('{}')),
    },
  ),
  invalid(
    'package-file-missing',
    { package: 'package-file-missing' },
    {
      tamper: (files) => files.delete(PACKAGE_FILES.readme),
    },
  ),
  invalid(
    'package-signature',
    { package: 'jws-signature' },
    {
      signers: { package: { ...keys.broker, key: keys.stranger.key } },
    },
  ),
  invalid('package-key-unknown', { package: 'key-unknown' }, { signers: { package: keys.stranger } }),
  invalid(
    'package-unknown-field',
    { package: 'jws-unknown-field' },
    {
      list: (list) => Object.assign(list, { extra: 1 }),
    },
    { witness: 'witness-absent', content: 'key-not-recipient' },
  ),
  invalid('package-unsorted', { package: 'package-list' }, { list: (list) => void list.files.reverse() }),
  invalid(
    'custody-malformed',
    { package: 'custody-malformed' },
    {
      files: (files) => files.set(PACKAGE_FILES.custody, Buffer.from('{"v":1}\n')),
    },
  ),
  invalid(
    'custody-fraction',
    { package: 'custody-malformed' },
    {
      files: (files) => {
        const line = (files.get(PACKAGE_FILES.custody) as Buffer).toString()
        files.set(PACKAGE_FILES.custody, Buffer.from(line.replace('"v":1', '"v":1.0')))
      },
    },
  ),
  refused('package-name', 'package-name', { files: (files) => files.set('README.html', Buffer.from('<p>')) }),
  refused('package-size', 'package-size', {
    files: (files) => files.set(PACKAGE_FILES.readme, Buffer.alloc(1024 * 1024 + 1)),
  }),
  refused('package-compressed', 'package-compressed', { zip: { compressed: PACKAGE_FILES.readme } }),
  refused('package-file-twice', 'package-unreadable', { zip: { twice: PACKAGE_FILES.readme } }),
  invalid(
    'package-file-rotten',
    { package: 'package-file-changed', manifest: 'package-unreadable', authority: 'grant-entry-missing' },
    { zip: { rotten: PACKAGE_FILES.receipt } },
  ),
  invalid(
    'package-lines-rotten',
    { package: 'package-file-changed', anchors: 'anchor-malformed' },
    { zip: { rotten: PACKAGE_FILES.anchors } },
  ),
  // Nothing of a damaged file is seen, whatever stands before the damage.
  invalid(
    'package-entries-rotten',
    {
      package: 'package-file-changed',
      anchors: 'anchor-entry-missing',
      log: 'entry-malformed',
      authority: 'approval-entry-missing',
    },
    { zip: { rotten: PACKAGE_FILES.entries } },
  ),
  invalid(
    'package-segment-rotten',
    { package: 'package-file-changed', chain: 'package-unreadable', anchors: 'anchor-head-missing' },
    { zip: { rotten: segmentPath('screen', 0) } },
  ),
  invalid(
    'package-policy-missing',
    { package: 'package-file-missing', authority: 'package-file-missing' },
    { files: (files) => files.delete(PACKAGE_FILES.policy) },
  ),
  refused('package-comment', 'package-unreadable', { zip: { comment: 'for you' } }),
  refused('package-directory', 'package-unreadable', { zip: { directory: 'keys/' } }),
]
