import { z } from 'zod'
import { FEATURES, SESSION_ENDS, SESSION_STATES } from '../domain/words.ts'
import { KEYBOARDS } from './keyboards.ts'

/**
 * The browser's terminal socket, `sallyport.terminal.v1`.
 *
 * Binary frames are bytes: output towards the browser, input towards the asset. Text frames are one JSON object
 * of the unions below, 16 KiB at most; anything else closes the socket with 4400 and never the asset's side.
 * The one-use ticket travels as a second offered subprotocol, `sallyport.ticket.<JWS>`, so it stands in no URL;
 * the broker takes it out and hands it to the gateway in a header of its own.
 */
export const TERMINAL_PROTOCOL = 'sallyport.terminal.v1'
export const TICKET_PROTOCOL_PREFIX = 'sallyport.ticket.'
/** The gateway stops reading from the asset when the browser owes acknowledgements for this many bytes. */
export const UNACKNOWLEDGED_LIMIT = 4 * 1024 * 1024
/** The browser acknowledges after each of these many bytes, at the latest. */
export const ACKNOWLEDGE_EVERY = 256 * 1024

const cols = z.number().int().min(2).max(1000)
const pixels = z.number().int().min(1).max(16_384)
const rows = z.number().int().min(1).max(500)

/** Browser to gateway. Watchers may send only `ack` and `ping`. */
export const TerminalUp = z.discriminatedUnion('type', [
  /**
   * With the terminal's size. Of a desktop: the room for it in pixels, and the keyboard before it; only assets that make
   * one to measure follow them.
   */
  z.strictObject({
    type: z.literal('start'),
    cols: cols.optional(),
    rows: rows.optional(),
    room: z.strictObject({ width: pixels, height: pixels }).optional(),
    keyboard: z.enum(KEYBOARDS).optional(),
  }),
  z.strictObject({ type: z.literal('resize'), cols, rows }),
  /** `bytes`: output shown since the last acknowledgement, not a total. */
  z.strictObject({ type: z.literal('ack'), bytes: z.number().int().nonnegative() }),
  z.strictObject({ type: z.literal('ping'), id: z.number().int() }),
  /** The person ends the session on purpose. */
  z.strictObject({ type: z.literal('leave') }),
])
export type TerminalUp = z.infer<typeof TerminalUp>

/** Gateway to browser. */
export const TerminalDown = z.discriminatedUnion('type', [
  z.strictObject({
    type: z.literal('hello'),
    session: z.string(),
    use: z.enum(['open', 'attach', 'watch']),
    asset: z.string(),
    account: z.string(),
    features: z.array(z.enum(FEATURES)),
    viewOnly: z.boolean(),
  }),
  /** What follows as the next binary frame resets the terminal (RIS) and repaints the whole screen at this size. */
  z.strictObject({ type: z.literal('screen'), cols, rows }),
  z.strictObject({ type: z.literal('resize'), cols, rows }),
  z.strictObject({
    type: z.literal('state'),
    state: z.enum(SESSION_STATES),
    inputFrozen: z.boolean(),
    /** Why it is held or frozen, and by whom (printed name or "policy"), for the person to read. */
    cause: z.string().nullable(),
    by: z.string().nullable(),
    /** Milliseconds until the next deadline: permit while live, hold while held. Null when there is none. */
    remainingMs: z.number().nullable(),
    /** Wall-clock time of the permit's end, ms since the epoch. */
    permitEndsAt: z.number(),
    end: z.enum(SESSION_ENDS).nullable(),
    /** A sentence for a person, only with `end`. */
    message: z.string().nullable(),
  }),
  z.strictObject({ type: z.literal('warning'), minutes: z.number(), endsAt: z.number() }),
  z.strictObject({ type: z.literal('idle'), remainingMs: z.number() }),
  z.strictObject({ type: z.literal('watchers'), names: z.array(z.string()) }),
  z.strictObject({ type: z.literal('pong'), id: z.number().int() }),
])
export type TerminalDown = z.infer<typeof TerminalDown>

/** WebSocket close codes of the session socket (RFC 6455 section 7.4.2: 4000-4999 are ours). */
export const CLOSE = {
  ended: 4000,
  badMessage: 4400,
  ticketRefused: 4401,
  replaced: 4409,
  revoked: 4410,
  gatewayLost: 4503,
} as const
