import { PACKAGE_FILES } from '../../../recordings/format/package-layout.ts'
import { approverNamed, CLOSES } from '../fixture.ts'
import { type Case, valid } from './case.ts'
import { endsAt, extendedByTwo } from './change.ts'

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
  valid('valid-no-anchors', { anchors: (lines) => void lines.splice(0) }),
  valid(
    'valid-discarded-segment',
    {
      recovered: true,
      manifest: (m) => {
        m.discarded = [{ stream: 'screen', number: 2, bytes: 7 }]
      },
    },
    'VALID-TRUNCATED',
  ),
  valid('truncated-recovered', { recovered: true }, 'VALID-TRUNCATED'),
]

let kept = ''
