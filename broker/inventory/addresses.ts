import { isIP } from 'node:net'
import { Failure } from '../domain/failure.ts'

/** An address as a number, with its family: 4 or 6. IPv4-mapped IPv6 counts as the IPv4 address that it is. */
export interface Ip {
  family: 4 | 6
  value: bigint
}

export interface Cidr extends Ip {
  prefix: number
}

/** All addresses of a name. Throws or answers empty when there is none. */
export type Resolve = (name: string) => Promise<string[]>

const BITS = { 4: 32, 6: 128 } as const

/**
 * Ranges that never belong to an asset by accident: this machine, the cloud's metadata services, link-local and
 * multicast, and those that embed another address. One counts only when a range of the zone lies inside it, so
 * `0.0.0.0/0` or `10.0.0.0/8` never names them, while a test plant on `127.20.0.0/24` does (threat 19).
 */
const SPECIAL = [
  '0.0.0.0/8',
  '100.100.100.200/32',
  '127.0.0.0/8',
  '169.254.0.0/16',
  '169.254.169.254/32',
  '224.0.0.0/4',
  '240.0.0.0/4',
  '::/127',
  '64:ff9b::/96',
  '2002::/16',
  'fd00:ec2::254/128',
  'fe80::/10',
  'ff00::/8',
].map((text) => mustCidr(text))

/** Null when the text is no plain IP address (a zone index or a leading zero makes it none). */
export function parseIp(text: string): Ip | null {
  const family = isIP(text)
  if (family === 4) return { family: 4, value: v4(text) }
  if (family !== 6 || text.includes('%')) return null
  let groups = text
  const dotted = /^(.*:)(\d+\.\d+\.\d+\.\d+)$/.exec(text)
  if (dotted) {
    const low = v4(dotted[2] ?? '')
    groups = `${dotted[1]}${(low >> 16n).toString(16)}:${(low & 0xffffn).toString(16)}`
  }
  const [head = '', tail] = groups.split('::')
  const left = head === '' ? [] : head.split(':')
  const right = tail === undefined || tail === '' ? [] : tail.split(':')
  const zeros = tail === undefined ? [] : Array.from({ length: 8 - left.length - right.length }, () => '0')
  const value = [...left, ...zeros, ...right].reduce((sum, group) => (sum << 16n) | BigInt(`0x${group}`), 0n)
  return value >> 32n === 0xffffn ? { family: 4, value: value & 0xffff_ffffn } : { family: 6, value }
}

function v4(text: string): bigint {
  return text.split('.').reduce((sum, octet) => (sum << 8n) | BigInt(octet), 0n)
}

export function parseCidr(text: string): Cidr | null {
  const match = /^([0-9a-f.:]+)\/(\d{1,3})$/i.exec(text)
  const ip = match ? parseIp(match[1] ?? '') : null
  const prefix = Number(match?.[2])
  // A mapped range would be counted in the wrong family.
  if (!ip || (ip.family === 4) !== (match?.[1] ?? '').includes('.') || prefix > BITS[ip.family]) return null
  return { ...ip, prefix }
}

function mustCidr(text: string): Cidr {
  const cidr = parseCidr(text)
  if (!cidr) throw new Error(`not a range: ${text}`)
  return cidr
}

export function contains(range: Cidr, ip: Ip): boolean {
  const shift = BigInt(BITS[range.family] - range.prefix)
  return range.family === ip.family && range.value >> shift === ip.value >> shift
}

/** Checks ranges as an administrator types them; throws Failure naming the first that is wrong. */
export function checkRanges(ranges: readonly string[]): string[] {
  return ranges.map((text) => {
    const cidr = parseCidr(text.trim())
    if (!cidr) throw badRange(text, 'is not a range like 10.20.30.0/24.')
    const shift = BigInt(BITS[cidr.family] - cidr.prefix)
    if ((cidr.value >> shift) << shift !== cidr.value)
      throw badRange(text, 'has bits set outside of its prefix.')
    if (cidr.prefix < (cidr.family === 4 ? 8 : 16)) {
      throw badRange(text, 'is so wide that it would allow everything.')
    }
    return text.trim().toLowerCase()
  })
}

function badRange(text: string, what: string): Failure {
  return new Failure(400, 'range-not-usable', `${text.slice(0, 60)} ${what}`, 'Correct the zone’s ranges.')
}

/** Whether an address may be an asset's in a zone with these ranges; null when it may, otherwise why not. */
export function whyOutside(ip: Ip, ranges: readonly Cidr[]): string | null {
  const holding = ranges.filter((range) => contains(range, ip))
  if (holding.length === 0) return 'It lies in none of the zone’s ranges.'
  for (const special of SPECIAL) {
    if (!contains(special, ip)) continue
    const named = holding.some((range) => range.prefix >= special.prefix && contains(special, range))
    if (!named)
      return 'It is a loopback, link-local, metadata or multicast address, which the zone does not name.'
  }
  return null
}

const NAME =
  /^(?=.{1,253}$)([a-z0-9_]([a-z0-9_-]{0,61}[a-z0-9_])?)(\.[a-z0-9_]([a-z0-9_-]{0,61}[a-z0-9_])?)*\.?$/i

/**
 * The one IP address that is dialled for an asset: resolved once, every answer checked, so a name that points
 * somewhere else now, or to two places, leads nowhere. Throws Failure `address-not-allowed` or
 * `address-not-resolved`.
 */
export async function resolveAddress(
  address: string,
  ranges: readonly string[],
  resolve: Resolve,
): Promise<string> {
  const zone = ranges.flatMap((text) => parseCidr(text) ?? [])
  const literal = parseIp(address)
  if (literal) {
    const why = whyOutside(literal, zone)
    if (why) throw notAllowed(why)
    return address
  }
  // All-numeric names are read as addresses by some resolvers (2130706433, 0x7f.1, 127.1).
  if (!NAME.test(address) || /(^|\.)(0x[0-9a-f]*|\d+)\.?$/i.test(address)) {
    throw new Failure(
      400,
      'address-not-readable',
      'This is neither an IP address nor a DNS name.',
      'Correct the address.',
    )
  }
  let answers: string[]
  try {
    answers = await resolve(address)
  } catch {
    answers = []
  }
  const [first] = answers
  if (first === undefined) {
    throw new Failure(
      400,
      'address-not-resolved',
      'The name does not resolve here.',
      'Check the name, or give the IP address.',
    )
  }
  for (const answer of answers) {
    const ip = parseIp(answer)
    const why = ip ? whyOutside(ip, zone) : 'An answer is no address.'
    if (why) throw notAllowed(`The name leads to another place. ${why}`)
  }
  return first
}

function notAllowed(why: string): Failure {
  return new Failure(
    400,
    'address-not-allowed',
    `The address can’t be used. ${why}`,
    'Correct the address, or the ranges of its zone.',
  )
}
