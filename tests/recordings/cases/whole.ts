import { PACKAGE_FILES } from '../../../recordings/format/package-layout.ts'
import { approverNamed, CLOSES, keys, noteOf } from '../fixture.ts'
import { bytesOf } from '../fixture-keys.ts'
import { passkey } from '../fixture-passkey.ts'
import { type Case, truncated, valid } from './case.ts'
import {
  endsAt,
  endsBeforeSecondInput,
  extendedByTwo,
  onLastChunk,
  onSegment,
  withPair,
  wrapInput,
} from './change.ts'

/** Packages that are whole, or truncated as they say. */
export const WHOLE: Case[] = [
  valid('valid', {}),
  valid('valid-extended', { extended: true }),
  valid('valid-cosigned', { cosigned: true }),
  valid('valid-rs256', { approvers: [{ ...approverNamed('approver', 'RS256') }] }),
  valid('valid-password-approval', { approvers: [{ ...approverNamed('approver', 'ES256'), passkey: null }] }),
  valid('valid-known-checkpoint', {
    files(files) {
      const [first] = (files.get(PACKAGE_FILES.earlier) as Buffer).toString().split('\n')
      kept = (JSON.parse(first as string) as { note: string }).note
    },
    trust: (trust) => {
      trust.checkpoints = [kept]
    },
  }),
  valid('valid-c1-two-approvers', {
    asset: (asset) => {
      asset.criticality = 'C1'
    },
  }),
  // Two approvers of one extension: the one who gave less time counts.
  valid('valid-extended-by-two', { ...extendedByTwo, laterGrant: endsAt(CLOSES + 900_000) }),
  valid('valid-no-anchors', { anchors: (lines) => void lines.splice(0) }, { anchors: 'anchors-absent' }),
  // The key given is not the one that the wraps are for: nothing is opened, and nothing else suffers.
  valid(
    'valid-for-another-key',
    {
      list: (list) => {
        list.recipient.kid = 'another'
      },
    },
    { content: 'key-not-recipient' },
  ),
  // COSE_Keys may say more than is read, and spell their heads longer than they must.
  valid('valid-cose-key-with-use', { assertion: { coseKey: (key) => withPair(key, '02430a0b0c') } }),
  valid('valid-cose-key-long-heads', {
    assertion: { coseKey: (key) => Buffer.concat([Buffer.from('b90005', 'hex'), key.subarray(1)]) },
  }),
  // The longest credential id there is.
  valid('valid-long-credential', {
    approvers: [
      {
        ...approverNamed('approver', 'ES256'),
        passkey: {
          ...passkey('ES256', 'approver'),
          credentialId: bytesOf('long id', 1023).toString('base64url'),
        },
      },
    ],
  }),
  valid('valid-approval-named-twice', {
    grant: (grant) => void grant.approvals.push(...grant.approvals.slice(0, 1)),
  }),
  valid('valid-input-opened', { files: wrapInput(0) }),
  // A new input segment began after the end; its header line is nothing that was sent.
  valid('valid-input-header-after-the-end', {
    ...endsBeforeSecondInput,
    segments: onSegment('input', 1, (plan) => void plan.chunks.splice(1, 1)),
  }),
  valid('valid-content-lone-surrogate', {
    segments: onLastChunk((chunk) => {
      chunk.forge = (plain) => ({ content: Buffer.from(plain.toString().replace('完了', '\\ud800')) })
    }),
  }),
  valid('valid-grace-by-all-approvers', {
    constraints: { inputDuringGrace: true },
    grant: (grant) => void Object.assign(grant.ending, { inputDuringGrace: true }),
  }),
  // The auditor kept a checkpoint that the package cannot be compared with.
  valid(
    'valid-known-checkpoint-left-out',
    {
      files(files) {
        const [first] = (files.get(PACKAGE_FILES.earlier) as Buffer).toString().split('\n')
        kept = (JSON.parse(first as string) as { note: string }).note
        files.delete(PACKAGE_FILES.earlier)
      },
      trust: (trust) => {
        trust.checkpoints = [kept]
      },
    },
    { log: 'checkpoint-not-compared' },
  ),
  valid(
    'valid-known-checkpoint-later',
    {
      trust: (trust) => {
        trust.checkpoints = [
          noteOf(
            Array.from({ length: 99 }, (_, at) => bytesOf(`leaf ${at}`)),
            keys.log,
          ),
        ]
      },
    },
    { log: 'checkpoint-not-compared' },
  ),
  truncated('valid-discarded-segment', {
    recovered: true,
    manifest: (m) => {
      m.discarded = [{ stream: 'screen', number: 2, bytes: 7 }]
    },
  }),
  // The crash came between two segments: the next number of the screen holds nothing.
  truncated('truncated-between-segments', {
    recovered: true,
    segments: onSegment('screen', 1, (plan) => {
      plan.chunks.push({ t0: 326_000, t1: 326_000, meta: { final: true } })
      plan.torn = 0
    }),
    manifest: (m) => {
      m.discarded = [{ stream: 'screen', number: 2, bytes: 0 }]
    },
  }),
  truncated('truncated-recovered', { recovered: true }),
]

let kept = ''
