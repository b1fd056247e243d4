import { hashOf } from '../../../broker/domain/canonical.ts'
import { approvalPath } from '../../../recordings/format/package-layout.ts'
import { approverNamed, CLOSES, ids } from '../fixture.ts'
import { hashHex, idOf } from '../fixture-keys.ts'
import { passkey } from '../fixture-passkey.ts'
import { type Case, invalid } from './case.ts'
import { onFirstApproval, ruled } from './change.ts'

/** Check 8: who approved. */
export const APPROVALS: Case[] = [
  invalid(
    'approval-malformed',
    { authority: 'approval-malformed' },
    { files: onFirstApproval((text) => text.replace('"v":1', '"v":2')) },
  ),
  invalid(
    'approval-hash',
    { authority: 'approval-hash' },
    { files: onFirstApproval((text) => text.replace('"meaning":"I let', '"meaning":"I gladly let')) },
  ),
  invalid(
    'approval-undeclared',
    { authority: 'approval-undeclared' },
    { files: (files) => files.set(approvalPath(hashHex('another')), Buffer.from('{}')) },
  ),
  invalid(
    'approval-alone-for-c1',
    { authority: 'approvals-too-few' },
    {
      asset: (asset) => {
        asset.criticality = 'C1'
      },
      approvers: [approverNamed('approver', 'ES256')],
    },
  ),
  invalid(
    'approval-alone-where-two-are-needed',
    { authority: 'approvals-too-few' },
    { asset: ruled(2, 'approver'), approvers: [approverNamed('approver', 'ES256')] },
  ),
  invalid(
    'approval-by-another-role',
    { authority: 'approvals-too-few' },
    { asset: ruled(1, 'administrator') },
  ),
  invalid(
    'approval-rule-missing',
    { authority: 'approval-rule-missing' },
    {
      asset: (asset) => {
        asset.rule = null
      },
    },
  ),
  invalid(
    'approval-of-another-asset-state',
    { authority: 'approval-snapshot' },
    {
      snapshot: (snapshot) => {
        snapshot.asset = { ...snapshot.asset, hash: hashHex('another state') }
      },
    },
  ),
  invalid(
    'extension-alone-where-two-are-needed',
    { authority: 'approvals-too-few' },
    { extended: true, asset: ruled(2, 'approver') },
  ),
  invalid(
    'grant-without-approval',
    { authority: 'approval-missing', 'input-window': 'input-window-unknown' },
    { approvers: [] },
  ),
  invalid(
    'approval-by-requester',
    { authority: 'approval-by-requester' },
    {
      approvers: [
        {
          ...approverNamed('approver', 'ES256'),
          who: { ...approverNamed('approver', 'ES256').who, id: ids.requester },
        },
      ],
    },
  ),
  invalid(
    'approval-by-requester-second-account',
    { authority: 'approval-by-requester' },
    {
      approvers: [
        {
          ...approverNamed('approver', 'ES256'),
          who: {
            ...approverNamed('approver', 'ES256').who,
            issuer: 'https://idp.vendor.example',
            subject: 'kim',
          },
        },
      ],
    },
  ),
  invalid(
    'approval-by-vendor',
    { authority: 'approval-by-vendor' },
    {
      approvers: [
        {
          ...approverNamed('approver', 'ES256'),
          who: { ...approverNamed('approver', 'ES256').who, organisation: 'Packline GmbH' },
        },
      ],
    },
  ),
  invalid(
    'approval-twice',
    { authority: 'approval-twice' },
    {
      approvers: [
        approverNamed('approver', 'ES256'),
        { ...approverNamed('second', 'EdDSA'), passkey: passkey('ES256', 'approver') },
      ],
    },
  ),
  invalid(
    'approval-declined',
    { authority: 'approval-not-granted' },
    {
      approval: (record) => {
        record.document.decision = 'declined'
      },
    },
  ),
  invalid(
    'approval-of-another-snapshot',
    { authority: 'approval-snapshot' },
    {
      approval: (record) => {
        record.document = {
          ...record.document,
          snapshot: { ...record.document.snapshot, account: 'root' },
        }
      },
    },
  ),
  invalid(
    'approval-unknown-field',
    { authority: 'approval-unknown-field' },
    {
      files: (files) => {
        for (const [path, content] of files) {
          if (!path.startsWith('approvals/')) continue
          files.set(path, Buffer.from(content.toString().replace('{"v":1', '{"note":"x","v":1')))
          return
        }
      },
    },
  ),
  invalid(
    'approval-not-in-log',
    { authority: 'approval-entry-missing' },
    {
      entries: (entries) => {
        ;(entries[1] as { details: Record<string, string> }).details.approval = hashHex('another approval')
      },
    },
  ),
  invalid(
    'approval-passkey-not-in-log',
    { authority: 'approval-entry-mismatch' },
    {
      entries: (entries) => {
        ;(entries[1] as { details: Record<string, string> }).details.key = hashHex('another passkey')
      },
    },
  ),
  invalid(
    'approval-for-c1-of-asset-alone',
    { authority: 'approvals-too-few' },
    {
      asset: (asset) => {
        asset.criticality = 'C1'
      },
      snapshot: (snapshot) => {
        snapshot.asset.criticality = 'C2'
      },
      approvers: [approverNamed('approver', 'ES256')],
    },
  ),
  invalid(
    'approval-for-c1-of-grant-alone',
    { authority: 'approvals-too-few' },
    {
      snapshot: (snapshot) => {
        snapshot.asset.criticality = 'C1'
      },
      approvers: [approverNamed('approver', 'ES256')],
    },
  ),
  invalid(
    'approval-rule-without-criticality',
    { authority: 'approval-rule-missing' },
    {
      asset: (asset) => void Object.assign(asset, { criticality: 'C9' }),
      snapshot: (snapshot) => {
        snapshot.asset.criticality = 'C2'
      },
    },
  ),
  invalid(
    'approval-twice-by-one-account',
    { authority: 'approval-twice' },
    {
      approvers: [
        approverNamed('approver', 'ES256'),
        {
          ...approverNamed('second', 'EdDSA'),
          who: { ...approverNamed('second', 'EdDSA').who, subject: 'approver' },
        },
      ],
    },
  ),
  invalid(
    'approval-with-fraction',
    { authority: 'approval-malformed' },
    { files: onFirstApproval((text) => text.replace('"v":1', '"v":1.0')) },
  ),
  invalid(
    'extension-in-opening-grant',
    { authority: 'approval-snapshot' },
    {
      approval: (record) => {
        const { snapshot } = record.document
        const extension = {
          id: idOf('extension'),
          session: ids.session,
          of: hashOf(snapshot),
          closesAt: new Date(CLOSES + 600_000).toISOString(),
          reason: 'from the beginning',
        }
        record.document = { ...record.document, snapshot: { ...snapshot, extension } }
      },
    },
  ),
  invalid(
    'extension-for-another-session',
    { authority: 'approval-snapshot' },
    {
      extended: true,
      extension: (snapshot) => void Object.assign(snapshot.extension ?? {}, { session: idOf('another') }),
    },
  ),
  invalid(
    'extension-of-another-window',
    { authority: 'approval-snapshot' },
    {
      extended: true,
      extension: (snapshot) => {
        snapshot.window = { ...snapshot.window, opensAt: new Date(CLOSES - 60_000).toISOString() }
      },
    },
  ),
]
