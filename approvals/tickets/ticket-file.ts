import { createHash } from 'node:crypto'
import { parse } from 'csv-parse/sync'
import { calculateJwkThumbprint, compactVerify, decodeProtectedHeader, importJWK, type JWK } from 'jose'
import { z } from 'zod'
import type { TicketSnapshot } from '../../broker/domain/request-snapshot.ts'
import { TICKET_STATES } from '../../broker/domain/words.ts'

/**
 * A signed ticket file: a compact JWS (RFC 7515) over a CSV or JSON list of change tickets, for sites without a
 * ticket system that could be asked. The format is described in docs/ticket-file.md.
 */
export const TICKET_FILE_TYPE = 'sallyport-ticket-file+jws'
export const FILE_SYSTEM = 'file'
const MOST_TICKETS = 2000
/** A signer's clock may be ahead by this; a file from further in the future could not be outdated by the next one. */
const AHEAD_MS = 60_000

/** A file that does not count, with the line or field that is wrong. */
export class TicketFileError extends Error {
  readonly code: string
  constructor(code: string, message: string) {
    super(message)
    this.name = 'TicketFileError'
    this.code = code
  }
}

const header = z.object({
  alg: z.enum(['EdDSA', 'Ed25519', 'ES256']),
  typ: z.literal(TICKET_FILE_TYPE),
  cty: z.enum(['text/csv', 'application/json']),
  kid: z.string().min(1).max(200),
  /** Seconds since the epoch at which the file was signed. */
  iat: z.number().int().positive(),
})

const instant = z.iso.datetime({ offset: true })
const optional = (schema: z.ZodType<string>) =>
  z.preprocess((value) => (value === '' ? null : value), schema.nullable()).default(null)
const wellFormed = (max: number) =>
  z
    .string()
    .trim()
    .min(1)
    .max(max)
    .refine((text) => text.isWellFormed() && !text.includes('\0'), 'plain text')
const ticketRow = z
  .strictObject({
    key: wellFormed(80),
    title: wellFormed(300),
    state: z.enum(TICKET_STATES),
    plannedStart: optional(instant),
    plannedEnd: optional(instant),
    items: z.array(wellFormed(200)).min(1).max(200),
    link: optional(z.url({ protocol: /^https?$/ }).max(500)),
  })
  .refine(
    (row) =>
      row.plannedStart === null ||
      row.plannedEnd === null ||
      Date.parse(row.plannedStart) < Date.parse(row.plannedEnd),
    { path: ['plannedEnd'], message: 'must be after plannedStart' },
  )
const document = z.strictObject({ v: z.literal(1), tickets: z.array(ticketRow).min(1).max(MOST_TICKETS) })

export interface TicketFile {
  kid: string
  /** Epoch milliseconds. */
  issuedAt: number
  /** Lower-case hex SHA-256 of the JWS as it came: one file counts once. */
  sha256: string
  tickets: TicketSnapshot[]
}

/** The key id that a file names, without trusting anything of it: to find the registered key. */
export function keyIdOf(jws: string): string {
  return readHeader(jws).kid
}

/** RFC 7638 thumbprint: how a registered key is named. Throws TicketFileError for a key that could not sign a file. */
export async function ticketKeyId(jwk: JWK): Promise<string> {
  const fits = (jwk.kty === 'OKP' && jwk.crv === 'Ed25519') || (jwk.kty === 'EC' && jwk.crv === 'P-256')
  if (!fits) throw new TicketFileError('key-not-usable', 'The key must be Ed25519 or P-256, as a public JWK.')
  if ('d' in jwk || 'k' in jwk)
    throw new TicketFileError(
      'key-is-private',
      'This is a private key. Register only its public half, and replace it.',
    )
  try {
    await importJWK(jwk, jwk.kty === 'EC' ? 'ES256' : 'Ed25519')
    return await calculateJwkThumbprint(jwk)
  } catch {
    throw new TicketFileError('key-not-usable', 'The key is not a valid public JWK.')
  }
}

/** Checks signature and content; everything or nothing of a file counts. `now`: epoch milliseconds. */
export async function readTicketFile(jws: string, jwk: JWK, now: number): Promise<TicketFile> {
  const head = readHeader(jws)
  const algorithm = jwk.kty === 'EC' ? ['ES256'] : ['EdDSA', 'Ed25519']
  if (!algorithm.includes(head.alg))
    throw new TicketFileError(
      'signature-invalid',
      'The file is signed by another kind of key than the registered one.',
    )
  let payload: Uint8Array
  try {
    const key = await importJWK(jwk, head.alg)
    payload = (await compactVerify(jws.trim(), key, { algorithms: algorithm })).payload
  } catch {
    throw new TicketFileError('signature-invalid', 'The signature does not verify with the registered key.')
  }
  const issuedAt = head.iat * 1000
  if (issuedAt > now + AHEAD_MS)
    throw new TicketFileError(
      'from-the-future',
      'The file was signed later than now. Check the clock of the signer.',
    )
  const text = new TextDecoder('utf-8', { fatal: true })
  let rows: unknown
  try {
    const content = text.decode(payload)
    rows = head.cty === 'text/csv' ? { v: 1, tickets: readCsv(content) } : JSON.parse(content)
  } catch (error) {
    if (error instanceof TicketFileError) throw error
    throw new TicketFileError(
      'not-readable',
      `The file's content cannot be read: ${(error as Error).message}`,
    )
  }
  const read = document.safeParse(rows)
  if (!read.success) {
    const issue = read.error.issues[0]
    const [, index, ...field] = issue?.path ?? []
    const place = typeof index === 'number' ? `ticket ${index + 1}, ${field.join('.')}` : 'the list'
    throw new TicketFileError('not-readable', `In ${place}: ${issue?.message ?? 'not as described'}.`)
  }
  const keys = new Set(read.data.tickets.map((ticket) => ticket.key))
  if (keys.size !== read.data.tickets.length)
    throw new TicketFileError('not-readable', 'The file names the same ticket twice.')
  return {
    kid: head.kid,
    issuedAt,
    sha256: createHash('sha256').update(jws.trim()).digest('hex'),
    tickets: read.data.tickets.map((row) => ({
      v: 1,
      system: FILE_SYSTEM,
      key: row.key,
      title: row.title,
      state: row.state,
      plannedStart: utc(row.plannedStart),
      plannedEnd: utc(row.plannedEnd),
      items: [...new Set(row.items)].sort(),
      link: row.link,
    })),
  }
}

function readHeader(jws: string): z.infer<typeof header> {
  try {
    return header.parse(decodeProtectedHeader(jws.trim()))
  } catch {
    throw new TicketFileError(
      'not-a-ticket-file',
      `This is not a signed ticket file: a compact JWS with typ "${TICKET_FILE_TYPE}", alg, cty, kid and iat.`,
    )
  }
}

const COLUMNS = ['key', 'title', 'state', 'planned_start', 'planned_end', 'items', 'link']

/** RFC 4180 with a header line; `items` are separated by "|". */
function readCsv(content: string): unknown[] {
  const rows = parse(content, {
    bom: true,
    columns: (names: string[]) => {
      const missing = COLUMNS.filter((name) => !names.includes(name))
      const unknown = names.filter((name) => !COLUMNS.includes(name))
      if (missing.length > 0 || unknown.length > 0)
        throw new TicketFileError(
          'not-readable',
          `The first line must name the columns ${COLUMNS.join(',')}; missing: ${missing.join(', ') || 'none'}, unknown: ${unknown.join(', ') || 'none'}.`,
        )
      return names
    },
    skip_empty_lines: true,
    trim: true,
    to: MOST_TICKETS + 1,
    max_record_size: 20_000,
  }) as Record<string, string>[]
  return rows.map((row) => ({
    key: row.key,
    title: row.title,
    state: row.state,
    plannedStart: row.planned_start,
    plannedEnd: row.planned_end,
    items: (row.items ?? '')
      .split('|')
      .map((item) => item.trim())
      .filter((item) => item !== ''),
    link: row.link,
  }))
}

/** One spelling of an instant, so that one ticket has one hash. */
function utc(text: string | null): string | null {
  return text === null ? null : new Date(text).toISOString()
}
