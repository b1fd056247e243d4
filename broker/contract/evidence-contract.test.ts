import { generateKeyPairSync, sign } from 'node:crypto'
import { describe, expect, it } from 'vitest'
import { approvalConstraints, approvalDocument } from './approval-record.ts'
import { type AuditEntry, auditEntry } from './audit-entry.ts'
import {
  checkpointBody,
  logOrigin,
  noteSignatureLine,
  parseCheckpoint,
  signedNote,
  verifyCheckpoint,
} from './checkpoint.ts'

const id = '01933333-3333-7333-8333-333333333333'
const entry: AuditEntry = {
  v: 1,
  id,
  type: 'session',
  action: 'session.start',
  actor: { kind: 'broker', id: 'broker', name: null, organisation: null },
  authentication: null,
  source: null,
  object: { kind: 'session', id },
  result: 'ok',
  reason: null,
  before: null,
  after: null,
  correlation: { request: null, grant: null, session: id, recording: null, ticket: null },
  time: '2026-11-24T01:00:00.000Z',
  clock: 'ok',
  node: 'broker-1',
  boot: id,
  policy: null,
  details: { count: 3, names: ['a', 'b'], flag: true, none: null },
}

describe('an audit entry', () => {
  it('has every field, and none more', () => {
    expect(auditEntry.parse(entry)).toEqual(entry)
    for (const field of Object.keys(entry)) {
      const { [field as keyof AuditEntry]: _, ...rest } = entry
      expect(auditEntry.safeParse(rest).success, field).toBe(false)
    }
  })

  it.each([
    ['an unknown field', { extra: 1 }],
    ['a hidden field', JSON.parse('{"__proto__": {"x": 1}}')],
    ['an action of another area', { action: 'recording.anchor' }],
    ['a fraction', { details: { ratio: 0.5 } }],
    ['a nested detail', { details: { deep: { x: 1 } } }],
    ['a detail with a strange name', { details: { 'a b': 1 } }],
    ['a lone surrogate', { reason: '\ud800' }],
    ['a time without milliseconds', { time: '2026-11-24T01:00:00Z' }],
    ['a time with an offset', { time: '2026-11-24T01:00:00.000+01:00' }],
    ['a day that does not exist', { time: '2026-02-30T01:00:00.000Z' }],
    ['an upper-case id', { boot: id.toUpperCase().replace('0193', 'ABCD') }],
  ])('refuses %s', (_, change) => {
    const changed = Object.defineProperties({ ...entry }, Object.getOwnPropertyDescriptors(change))
    expect(auditEntry.safeParse(changed).success).toBe(false)
  })
})

describe('a checkpoint', () => {
  const { publicKey, privateKey } = generateKeyPairSync('ed25519')
  const raw = Buffer.from(publicKey.export({ format: 'jwk' }).x as string, 'base64url')
  const origin = logOrigin(id, 1)
  const key = { name: origin, publicKey: raw }
  const body = checkpointBody({ origin, size: 7, root: Buffer.alloc(32, 9) })
  const note = signedNote(body, [noteSignatureLine(key, sign(null, Buffer.from(body), privateKey))])

  it('is a signed note under the origin', () => {
    const parsed = parseCheckpoint(note)
    if (!parsed) throw new Error('does not parse')
    expect(parsed).toMatchObject({ origin, size: 7, body })
    expect(verifyCheckpoint(parsed, key)).toBe(true)
    expect(verifyCheckpoint(parsed, { ...key, name: 'another' })).toBe(false)
    const another = parseCheckpoint(note.replace('\n7\n', '\n8\n'))
    if (!another) throw new Error('does not parse')
    expect(verifyCheckpoint(another, key)).toBe(false)
  })

  it.each([
    ['nothing', ''],
    ['no signature', `${body}\n`],
    ['a size with a leading zero', note.replace('\n7\n', '\n07\n')],
    ['a size beyond 2^53', note.replace('\n7\n', '\n9999999999999999\n')],
    ['an extension line', note.replace('\n\n', '\nextension\n\n')],
    ['a root that is no base64', note.replace('CQkJ', 'C-kJ')],
    ['a cut signature line', note.slice(0, -1)],
    ['a hyphen for the dash', note.replace('\u2014', '-')],
  ])('refuses %s', (_, text) => {
    expect(parseCheckpoint(text)).toBeNull()
  })
})

it('lets an approver narrow only by known fields', () => {
  expect(approvalConstraints.safeParse({ viewOnly: true, features: [] }).success).toBe(true)
  expect(approvalConstraints.safeParse({ viewOnly: false }).success).toBe(false)
  expect(approvalConstraints.safeParse({ anything: true }).success).toBe(false)
  expect(approvalDocument.safeParse({}).success).toBe(false)
})
