import { approvalPath, laterGrantPath, PACKAGE_FILES } from '../../../recordings/format/package-layout.ts'
import { CLOSES, keys } from '../fixture.ts'
import { idOf } from '../fixture-keys.ts'
import { type Case, invalid } from './case.ts'
import { endsAt, extendedByTwo } from './change.ts'

/** Check 8: what was granted. */
export const GRANTS: Case[] = [
  invalid(
    'grant-for-another-recording',
    { authority: 'grant-mismatch' },
    {
      grant: (grant) => {
        grant.recording = idOf('another recording')
      },
    },
  ),
  invalid(
    'extension-longer-than-strictest',
    { authority: 'grant-outside-approval' },
    { ...extendedByTwo, laterGrant: endsAt(CLOSES + 901_000) },
  ),
  invalid(
    'later-grant-withheld',
    { authority: 'grant-missing' },
    {
      // Gateway and broker leave it out together; the log still names it.
      extended: true,
      laterGrant: (grant) => {
        withheld = grant.approvals.slice(-1)
      },
      manifest: (m) => {
        m.hashes.grants.pop()
        m.hashes.approvals = m.hashes.approvals.filter((hash) => !withheld.includes(hash))
      },
      files: (files) => {
        files.delete(laterGrantPath(2))
        for (const hash of withheld) files.delete(approvalPath(hash))
      },
    },
  ),
  invalid(
    'grant-forged',
    { authority: 'jws-signature' },
    { signers: { grant: { ...keys.broker, key: keys.stranger.key } } },
  ),
  invalid(
    'grant-for-another-site',
    { authority: 'grant-mismatch' },
    {
      grant: (grant) => {
        grant.site = { ...grant.site, id: idOf('another site') }
      },
    },
  ),
  invalid(
    'grant-for-another-account',
    { authority: 'grant-mismatch' },
    {
      grant: (grant) => {
        grant.account = 'root'
      },
    },
  ),
  invalid(
    'grant-longer-than-approved',
    { authority: 'grant-outside-approval' },
    {
      grant: (grant) => {
        grant.exp = CLOSES / 1000 + 1
      },
    },
  ),
  invalid(
    'grant-not-narrowed',
    { authority: 'grant-outside-approval' },
    {
      constraints: { closesAt: new Date(CLOSES - 600_000).toISOString(), features: [] },
    },
  ),
  invalid(
    'target-not-pinned',
    { authority: 'target-mismatch' },
    {
      header: (header) => {
        header.target = { kind: 'ssh-host-key', algorithm: 'ssh-ed25519', fingerprint: 'SHA256:another' }
      },
    },
  ),
  invalid(
    'ticket-replaced',
    { authority: 'document-mismatch' },
    {
      files: (files) => files.set(PACKAGE_FILES.ticket, Buffer.from('{"key":"CHG-1"}')),
    },
  ),
  invalid(
    'later-grant-not-in-log',
    { authority: 'grant-entry-missing' },
    {
      extended: true,
      entries: (entries) => {
        for (const entry of entries) if (entry.action === 'session.extend') entry.details = {}
      },
    },
  ),
  invalid(
    'later-grant-for-another-asset',
    { authority: 'grant-mismatch' },
    {
      extended: true,
      laterGrant: (grant) => {
        grant.asset = { ...grant.asset, id: idOf('another asset') }
      },
    },
  ),
  invalid(
    'later-grant-too-long',
    { authority: 'grant-outside-approval' },
    {
      extended: true,
      laterGrant: (grant) => {
        grant.exp += 1
      },
    },
  ),
  invalid(
    'later-grant-hidden',
    { authority: 'grant-undeclared' },
    {
      extended: true,
      files: (files) => files.delete(laterGrantPath(2)),
    },
  ),
]

let withheld: string[] = []
