import { approvalPath, laterGrantPath, PACKAGE_FILES } from '../../../recordings/format/package-layout.ts'
import { CLOSES, keys, type Plan } from '../fixture.ts'
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
  // What a grant may not give although nobody approved it, one thing at a time.
  ...(
    [
      ['features', { grant: (grant) => void grant.features.push('clipboard-copy') }],
      ['features-of-constraint', { constraints: { features: [] } }],
      ['closes-at-of-constraint', { constraints: { closesAt: new Date(CLOSES - 600_000).toISOString() } }],
      ['view-only', { snapshot: (snapshot) => void Object.assign(snapshot, { viewOnly: true }) }],
      ['view-only-of-constraint', { constraints: { viewOnly: true } }],
      ['ending-mode', { grant: (grant) => void Object.assign(grant.ending, { mode: 'cut' }) }],
      [
        'hold-seconds',
        {
          snapshot: (snapshot) => void Object.assign(snapshot.ending, { holdSeconds: 600 }),
          grant: (grant) => void Object.assign(grant.ending, { holdSeconds: 601 }),
        },
      ],
      [
        'input-during-grace',
        { grant: (grant) => void Object.assign(grant.ending, { inputDuringGrace: true }) },
      ],
      [
        // One approver gave it, the other did not.
        'input-during-grace-of-one',
        {
          grant: (grant) => void Object.assign(grant.ending, { inputDuringGrace: true }),
          approval: (record) => void Object.assign(record.document.constraints, { inputDuringGrace: true }),
        },
      ],
    ] satisfies [string, Plan][]
  ).map(([what, plan]) => invalid(`grant-outside-${what}`, { authority: 'grant-outside-approval' }, plan)),
  invalid(
    'target-of-no-kind',
    { authority: 'target-mismatch' },
    {
      grant: (grant) => {
        grant.identities = []
      },
      header: (header) => {
        header.target = { kind: 'none' }
      },
    },
  ),
  invalid(
    'later-grant-under-another-serial',
    { authority: 'grant-mismatch' },
    {
      extended: true,
      files: (files) => {
        files.set(laterGrantPath(3), files.get(laterGrantPath(2)) as Buffer)
        files.delete(laterGrantPath(2))
      },
    },
  ),
  invalid(
    'later-grant-with-the-same-serial',
    { authority: 'grant-mismatch' },
    { extended: true, laterGrant: (grant) => void Object.assign(grant, { serial: 1 }) },
  ),
]

let withheld: string[] = []
