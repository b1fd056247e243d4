import { CompactSign, exportJWK, generateKeyPair, type JWK } from 'jose'
import { beforeAll, describe, expect, it } from 'vitest'
import { readTicketFile, TICKET_FILE_TYPE, TicketFileError, ticketKeyId } from './ticket-file.ts'

const NOW = Date.UTC(2026, 10, 24, 1)
let privateKey: CryptoKey
let jwk: JWK
let kid: string

beforeAll(async () => {
  const pair = await generateKeyPair('Ed25519', { extractable: true })
  privateKey = pair.privateKey
  jwk = await exportJWK(pair.publicKey)
  kid = await ticketKeyId(jwk)
})

const sign = (payload: string, head: Record<string, unknown> = {}, key = privateKey) =>
  new CompactSign(new TextEncoder().encode(payload))
    .setProtectedHeader({
      alg: 'Ed25519',
      typ: TICKET_FILE_TYPE,
      cty: 'text/csv',
      kid,
      iat: NOW / 1000,
      ...head,
    })
    .sign(key)

const CSV = `key,title,state,planned_start,planned_end,items,link
CHG001,"Firmware, cell 4",approved,2026-11-24T01:00:00+01:00,2026-11-24T08:00:00+01:00,Robot cell 4|Robot cell 5,
CHG002,Later,waiting,,,HMI 1,https://tickets.example/CHG002
`
const TICKET = {
  key: 'CHG001',
  title: 'Firmware, cell 4',
  state: 'approved',
  plannedStart: '2026-11-24T00:00:00Z',
  plannedEnd: '2026-11-24T07:00:00Z',
  items: ['Robot cell 5', 'Robot cell 4'],
}
const json = (ticket: unknown) => JSON.stringify({ v: 1, tickets: [ticket] })
const code = async (jws: Promise<string>) =>
  readTicketFile(await jws, jwk, NOW).then(
    () => 'ok',
    (error) => (error instanceof TicketFileError ? error.code : error),
  )

describe('a signed ticket file', () => {
  it('reads CSV and JSON to the same ticket', async () => {
    const csv = await readTicketFile(await sign(CSV), jwk, NOW)
    const other = await readTicketFile(await sign(json(TICKET), { cty: 'application/json' }), jwk, NOW)
    expect(csv.tickets).toHaveLength(2)
    expect(csv.tickets[1]).toMatchObject({
      state: 'waiting',
      plannedStart: null,
      link: 'https://tickets.example/CHG002',
    })
    expect(other.tickets[0]).toEqual(csv.tickets[0])
    expect(csv).toMatchObject({ kid, issuedAt: NOW })
    expect(csv.tickets[0]).toMatchObject({
      plannedStart: '2026-11-24T00:00:00.000Z',
      items: ['Robot cell 4', 'Robot cell 5'],
    })
  })

  it('counts for nothing when it is not as described', async () => {
    const stranger = (await generateKeyPair('Ed25519')).privateKey
    const bad = { cty: 'application/json' }
    expect(await code(sign(CSV, {}, stranger))).toBe('signature-invalid')
    expect(await code(sign(CSV, { typ: 'JWT' }))).toBe('not-a-ticket-file')
    expect(await code(sign(CSV, { iat: undefined }))).toBe('not-a-ticket-file')
    expect(await code(sign(CSV, { iat: NOW / 1000 + 3600 }))).toBe('from-the-future')
    expect(await code(Promise.resolve('key,title\nCHG001,x'))).toBe('not-a-ticket-file')
    expect(await code(sign(CSV).then((jws) => `${jws.slice(0, -8)}AAAAAAAA`))).toBe('signature-invalid')
    expect(await code(sign('key,title\nA,B'))).toBe('not-readable')
    expect(await code(sign(CSV.replace('approved', 'please')))).toBe('not-readable')
    expect(await code(sign(`${CSV}CHG001,again,approved,,,HMI,\n`))).toBe('not-readable')
    expect(await code(sign('{', bad))).toBe('not-readable')
    expect(await code(sign(json({ ...TICKET, approvedBy: 'me' }), bad))).toBe('not-readable')
    expect(await code(sign(json({ ...TICKET, plannedEnd: '2026-11-24T00:00:00Z' }), bad))).toBe(
      'not-readable',
    )
    expect(await code(sign(json({ ...TICKET, plannedStart: '2026-11-24 01:00' }), bad))).toBe('not-readable')
    expect(await code(sign(json({ ...TICKET, link: 'javascript:alert(1)' }), bad))).toBe('not-readable')
    expect(await code(sign(json({ ...TICKET, items: [] }), bad))).toBe('not-readable')
  })

  it('takes no unsigned file and no key that is private or of another kind', async () => {
    const none = `${btoa(JSON.stringify({ alg: 'none', typ: TICKET_FILE_TYPE, cty: 'text/csv', kid, iat: 1 }))}.${btoa(CSV)}.`
    expect(await code(Promise.resolve(none))).toBe('not-a-ticket-file')
    await expect(ticketKeyId({ ...jwk, d: 'AAAA' })).rejects.toMatchObject({ code: 'key-is-private' })
    await expect(ticketKeyId({ kty: 'oct', k: 'AAAA' })).rejects.toMatchObject({ code: 'key-not-usable' })
    await expect(ticketKeyId({ kty: 'RSA', n: 'AQAB', e: 'AQAB' })).rejects.toMatchObject({
      code: 'key-not-usable',
    })
  })
})
