import { type Case, invalid } from './case.ts'
import { onFirstApproval, withPair } from './change.ts'

/** Check 8: what an approver signed, and with which key. */
export const ASSERTIONS: Case[] = [
  invalid('assertion-malformed', { authority: 'assertion-malformed' }, { assertion: { short: true } }),
  invalid(
    'assertion-wrong-origin',
    { authority: 'assertion-origin' },
    { assertion: { origin: 'https://sallyport.example.evil' } },
  ),
  invalid('assertion-cross-origin', { authority: 'assertion-origin' }, { assertion: { crossOrigin: true } }),
  invalid('assertion-wrong-rp', { authority: 'assertion-rp' }, { assertion: { rpId: 'evil.example' } }),
  invalid('assertion-unverified-user', { authority: 'assertion-flags' }, { assertion: { flags: 0x19 } }),
  invalid(
    'assertion-replayed',
    { authority: 'assertion-challenge' },
    {
      assertion: { challenge: Buffer.alloc(32, 7).toString('base64url') },
    },
  ),
  invalid(
    'assertion-wrong-type',
    { authority: 'assertion-type' },
    { assertion: { type: 'webauthn.create' } },
  ),
  invalid(
    'assertion-signature',
    { authority: 'assertion-signature' },
    { assertion: { breakSignature: true } },
  ),
  invalid(
    'assertion-key-with-more-after-it',
    { authority: 'assertion-key' },
    { assertion: { coseKey: (key) => Buffer.concat([key, Buffer.of(0)]) } },
  ),
  invalid(
    'assertion-key-of-another-algorithm',
    { authority: 'assertion-key' },
    // ES384 (-35) instead of ES256 (-7).
    { assertion: { coseKey: (key) => replacedPair(key, '0326', '033822') } },
  ),
  invalid(
    'assertion-key-twice',
    { authority: 'assertion-key' },
    { assertion: { coseKey: (key) => withPair(key, '0326') } },
  ),
  invalid(
    'assertion-byte-order-mark',
    { authority: 'assertion-type' },
    { assertion: { clientData: (json) => `\ufeff${json}` } },
  ),
  invalid(
    'assertion-cross-origin-null',
    { authority: 'assertion-origin' },
    { assertion: { clientData: (json) => json.replace('"crossOrigin":false', '"crossOrigin":null') } },
  ),
  invalid(
    'assertion-nested-too-deep',
    { authority: 'assertion-type' },
    { assertion: { clientData: (json) => json.replace('{', `{"x":${'['.repeat(64)}${']'.repeat(64)},`) } },
  ),
  invalid(
    'assertion-backup-eligible',
    { authority: 'assertion-flags' },
    { files: onFirstApproval((text) => text.replace('"backupEligible":true', '"backupEligible":false')) },
  ),
  invalid(
    'assertion-backup-state',
    { authority: 'assertion-flags' },
    { files: onFirstApproval((text) => text.replace('"backupState":true', '"backupState":false')) },
  ),
]

function replacedPair(key: Buffer, from: string, to: string): Buffer {
  return Buffer.from(key.toString('hex').replace(from, to), 'hex')
}
