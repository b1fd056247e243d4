import { PACKAGE_FILES } from '../../../recordings/format/package-layout.ts'
import { keys } from '../fixture.ts'
import { hashHex, idOf } from '../fixture-keys.ts'
import { type Case, invalid } from './case.ts'

/** Check 2: manifest and receipt. */
export const MANIFEST: Case[] = [
  invalid(
    'receipt-no-jws',
    { manifest: 'jws-malformed', authority: 'grant-entry-missing' },
    { files: (files) => files.set(PACKAGE_FILES.receipt, Buffer.from('receipt')) },
  ),
  invalid(
    'receipt-missing',
    { package: 'package-file-missing', manifest: 'package-file-missing', authority: 'grant-entry-missing' },
    { files: (files) => files.delete(PACKAGE_FILES.receipt) },
  ),
  invalid(
    'receipt-without-algorithm',
    { manifest: 'jws-header', authority: 'grant-entry-missing' },
    {
      files: (files) => {
        const parts = (files.get(PACKAGE_FILES.receipt) as Buffer).toString().split('.')
        const header = { alg: 'none', typ: 'sallyport-receipt+jws', kid: keys.broker.kid }
        parts[0] = Buffer.from(JSON.stringify(header)).toString('base64url')
        files.set(PACKAGE_FILES.receipt, Buffer.from(parts.join('.')))
      },
    },
  ),
  invalid(
    'receipt-of-another-version',
    { manifest: 'jws-payload', authority: 'grant-entry-missing' },
    { receipt: (receipt) => void Object.assign(receipt, { v: 2 }) },
  ),
  invalid('manifest-wrong-key', { manifest: 'key-unknown' }, { signers: { manifest: keys.stranger } }),
  invalid(
    'manifest-signature',
    { manifest: 'jws-signature' },
    {
      signers: { manifest: { ...keys.gateway, key: keys.stranger.key } },
    },
  ),
  invalid('manifest-by-broker-key', { manifest: 'key-unknown' }, { signers: { manifest: keys.broker } }),
  invalid(
    'manifest-key-revoked',
    { manifest: 'key-unknown' },
    {
      trust: (trust) => {
        for (const key of trust.keys) if (key.use === 'gateway') key.to_index = 2
      },
    },
  ),
  invalid(
    'receipt-for-another-manifest',
    { manifest: 'receipt-mismatch' },
    {
      receipt: (receipt) => {
        receipt.manifest = hashHex('another manifest')
      },
    },
  ),
  invalid(
    'receipt-of-another-session',
    { manifest: 'identifiers-differ' },
    {
      receipt: (receipt) => {
        receipt.session = idOf('another session')
      },
    },
  ),
  invalid(
    'another-deployment',
    { manifest: 'identifiers-differ' },
    {
      trust: (trust) => {
        trust.deployment = idOf('another deployment')
      },
    },
  ),
  invalid(
    'manifest-as-receipt',
    { manifest: 'jws-type', authority: 'grant-entry-missing' },
    {
      files: (files) => files.set(PACKAGE_FILES.receipt, files.get(PACKAGE_FILES.manifest) as Buffer),
    },
  ),
  invalid(
    'manifest-no-jws',
    {
      manifest: 'jws-malformed',
      chain: 'manifest-unreadable',
      anchors: 'manifest-unreadable',
      authority: 'manifest-unreadable',
      'input-window': 'manifest-unreadable',
      gaps: 'manifest-unreadable',
    },
    { files: (files) => files.set(PACKAGE_FILES.manifest, Buffer.from('manifest')) },
    { witness: 'witness-absent', content: 'content-not-checked' },
  ),
  invalid(
    'receipt-not-after-start',
    { manifest: 'receipt-mismatch', log: 'entry-mismatch' },
    {
      receipt: (receipt) => {
        receipt.last_index = receipt.first_index
      },
    },
  ),
  // Another spelling of the same signature: the unused bits of its last character are set.
  invalid(
    'receipt-signature-of-another-spelling',
    { manifest: 'jws-malformed', authority: 'grant-entry-missing' },
    {
      files: (files) => {
        const jws = (files.get(PACKAGE_FILES.receipt) as Buffer).toString()
        const letters = 'ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz0123456789-_'
        const other = letters[letters.indexOf(jws.at(-1) as string) + 1] as string
        files.set(PACKAGE_FILES.receipt, Buffer.from(jws.slice(0, -1) + other))
      },
    },
  ),
  invalid(
    'receipt-unknown-field-of-another-version',
    { manifest: 'jws-unknown-field', authority: 'grant-entry-missing' },
    { receipt: (receipt) => void Object.assign(receipt, { v: 2, note: '' }) },
  ),
]
