/**
 * RDCleanPath, as IronRDP speaks it with a proxy that has brought a connection past TLS: DER, a SEQUENCE of explicitly
 * tagged fields (ironrdp-rdcleanpath). Here the proxy is the session, which has done so before this process was asked.
 */
const VERSION = 3390
const SEQUENCE = 0x30
const INTEGER = 0x02
const OCTETS = 0x04
const UTF8 = 0x0c
const FIELD = { version: 0, x224: 6, chain: 7, address: 9 } as const
const X224_FIELD = 0xa0 | FIELD.x224

interface Value {
  tag: number
  body: Buffer
  end: number
}

/** Null while the value is not complete. */
function read(bytes: Buffer, at: number): Value | null {
  const tag = bytes[at]
  const first = bytes[at + 1]
  if (tag === undefined || first === undefined) return null
  let length = first
  let start = at + 2
  if (first >= 0x80) {
    const count = first & 0x7f
    if (count === 0 || count > 3) throw new Error('a length that RDCleanPath does not have')
    if (bytes.length < start + count) return null
    length = bytes.readUIntBE(start, count)
    start += count
  }
  const end = start + length
  return bytes.length < end ? null : { tag, body: bytes.subarray(start, end), end }
}

/** The X.224 packet of a request; null while the request is not complete. */
export function readRequest(bytes: Buffer): Buffer | null {
  const request = read(bytes, 0)
  if (!request) return null
  for (let at = 0; at < request.body.length; ) {
    const field = read(request.body, at)
    if (!field) break
    if (field.tag === X224_FIELD) return read(field.body, 0)?.body ?? null
    at = field.end
  }
  throw new Error('a request without its packet')
}

function write(tag: number, body: Buffer): Buffer {
  const { length } = body
  const lengthBytes =
    length < 0x80 ? [length] : length < 0x100 ? [0x81, length] : [0x82, length >> 8, length & 0xff]
  return Buffer.concat([Buffer.from([tag, ...lengthBytes]), body])
}

/** What a proxy answers that has reached the server. `certificate`: DER of the server's own. */
export function writeResponse(confirm: Buffer, certificate: Buffer): Buffer {
  const field = (number: number, value: Buffer) => write(0xa0 | number, value)
  return write(
    SEQUENCE,
    Buffer.concat([
      field(FIELD.version, write(INTEGER, Buffer.from([VERSION >> 8, VERSION & 0xff]))),
      field(FIELD.x224, write(OCTETS, confirm)),
      field(FIELD.chain, write(SEQUENCE, write(OCTETS, certificate))),
      // Nobody learns an address by it: IronRDP only wants one.
      field(FIELD.address, write(UTF8, Buffer.from('asset:3389'))),
    ]),
  )
}
