import { expect, test } from 'vitest'
import { checkRanges, parseCidr, parseIp, resolveAddress, whyOutside } from './addresses.ts'

const none = async () => []
const ranges = (...texts: string[]) => texts.map((text) => parseCidr(text)).filter((range) => range !== null)
const may = (ip: string, ...texts: string[]) => {
  const parsed = parseIp(ip)
  return parsed !== null && whyOutside(parsed, ranges(...texts)) === null
}

test('an address must lie in a range of its zone', () => {
  expect(may('10.20.30.41', '10.20.30.0/24')).toBe(true)
  expect(may('10.20.31.41', '10.20.30.0/24')).toBe(false)
  expect(may('fd12:3456::7', 'fd12:3456::/32')).toBe(true)
  expect(may('fd12:3457::7', 'fd12:3456::/32')).toBe(false)
  expect(may('10.20.30.41', 'fd12:3456::/32')).toBe(false)
})

test('an IPv4 address in IPv6 clothes is the IPv4 address', () => {
  expect(parseIp('::ffff:127.0.0.1')).toEqual(parseIp('127.0.0.1'))
  expect(parseIp('::ffff:7f00:1')).toEqual(parseIp('127.0.0.1'))
  expect(may('::ffff:10.0.0.5', '10.0.0.0/24')).toBe(true)
  expect(may('::ffff:127.0.0.1', '10.0.0.0/8')).toBe(false)
})

test('special addresses need a range that names them', () => {
  expect(may('127.0.0.1', '0.0.0.0/0')).toBe(false)
  expect(may('127.20.0.9', '127.20.0.0/24')).toBe(true)
  expect(may('169.254.3.4', '169.254.0.0/16')).toBe(true)
  expect(may('169.254.169.254', '169.254.0.0/16')).toBe(false)
  expect(may('169.254.169.254', '169.254.169.254/32')).toBe(true)
  expect(may('224.0.0.1', '0.0.0.0/0')).toBe(false)
  expect(may('255.255.255.255', '0.0.0.0/0')).toBe(false)
  expect(may('0.0.0.0', '0.0.0.0/0')).toBe(false)
  expect(may('::1', '::/0')).toBe(false)
  expect(may('fe80::1', '::/0')).toBe(false)
  expect(may('64:ff9b::7f00:1', '::/0')).toBe(false)
})

test('ranges are checked when they are typed', () => {
  expect(checkRanges([' 10.20.0.0/16 '])).toEqual(['10.20.0.0/16'])
  for (const bad of [
    '10.0.0.5/24',
    '0.0.0.0/0',
    '10.0.0.0',
    '10.0.0.0/33',
    '::/0',
    'plant',
    '::ffff:10.0.0.0/104',
  ]) {
    expect(() => checkRanges([bad]), bad).toThrow()
  }
})

test('names are resolved once and every answer counts', async () => {
  const zone = ['10.20.30.0/24']
  expect(await resolveAddress('plc4.plant.example', zone, async () => ['10.20.30.4'])).toBe('10.20.30.4')
  const rebinding = async () => ['10.20.30.4', '127.0.0.1']
  await expect(resolveAddress('evil.example', zone, rebinding)).rejects.toMatchObject({
    code: 'address-not-allowed',
  })
  await expect(resolveAddress('gone.example', zone, none)).rejects.toMatchObject({
    code: 'address-not-resolved',
  })
  for (const trick of ['2130706433', '0x7f.1', '127.1', 'a b', '-x', 'fe80::1%eth0', '10.20.30.4:22', '']) {
    await expect(
      resolveAddress(trick, zone, async () => ['10.20.30.4']),
      trick,
    ).rejects.toMatchObject({
      code: 'address-not-readable',
    })
  }
})
