/** Messages between a session and its RDP child, beside those that every protocol has (child/frames.ts). */
export const RDP_TO_CHILD = {
  /** The recording runs: go on from the sign-in to the picture. */
  run: 32,
  clipboard: 33,
  /** A new connection to the same asset, for another size; the former one is over. JSON of `RdpConnection`. */
  again: 34,
} as const

export const RDP_FROM_CHILD = {
  /** Signed in. */
  opened: 32,
  /** For the asset. */
  bytes: 33,
  /** The opening failed; the payload is an `RdpOpeningFailure`. */
  failed: 34,
  /** The server says why it is about to end (MS-RDPBCGR 2.2.5.1.1): a number of 32 bits. */
  errorInfo: 35,
  /** The connection ended as the protocol wants it. */
  closed: 36,
  /** `again` was heard: what comes from here on is about the new connection. */
  switched: 37,
  /** What the server takes as input (TS_INPUT_CAPABILITYSET): flags of 16 bits. */
  takes: 38,
} as const

export const RDP_OPENING_FAILURES = [
  'wrong-credential',
  'logon-refused',
  'licence',
  'protocol-violation',
] as const
export type RdpOpeningFailure = (typeof RDP_OPENING_FAILURES)[number]

/** One connection to the asset, as far as the session has brought it. */
export interface RdpConnection {
  width: number
  height: number
  /** The server's X.224 answer and its certificate, base64. */
  confirm: string
  certificate: string
}

/** How to sign in; the password follows it in `start`, apart, so that it can be wiped. */
export interface RdpStart extends RdpConnection {
  user: string
  domain: string
  nla: boolean
  /** MS-LCID. */
  keyboardLayout: number
  depth: 16 | 32
  clipboard: { in: boolean; out: boolean }
}

export function writeStart(start: RdpStart, password: Uint8Array): Uint8Array {
  const json = Buffer.from(JSON.stringify(start))
  const payload = Buffer.alloc(4 + json.length + password.length)
  payload.writeUInt32LE(json.length, 0)
  payload.set(json, 4)
  payload.set(password, 4 + json.length)
  return payload
}

export function readStart(payload: Uint8Array): { start: RdpStart; password: string } {
  const view = Buffer.from(payload.buffer, payload.byteOffset, payload.length)
  const end = 4 + view.readUInt32LE(0)
  return { start: JSON.parse(view.toString('utf8', 4, end)), password: view.toString('utf8', end) }
}
