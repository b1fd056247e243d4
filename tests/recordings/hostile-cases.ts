import { randomBytes } from 'node:crypto'
import { deflateRawSync } from 'node:zlib'
import type { CheckName } from '../../recordings/verify/report.ts'
import { type ChunkPlan, makeFixture, type Plan } from './fixture.ts'
import { lyingZip, type ZipLies } from './hostile-zip.ts'

const MIB = 1024 * 1024

export interface HostileCase {
  name: string
  zip: () => Promise<Buffer>
  /** A reason that must be among those of a check that fails. */
  wants: Partial<Record<CheckName, string>>
}

type Files = Map<string, Buffer>

const JWS: [path: string, check: CheckName][] = [
  ['manifest.jws', 'manifest'],
  ['receipt.jws', 'manifest'],
  ['grant.jws', 'authority'],
  ['package.jws', 'package'],
]

/** Where a spoilt file of lines shows. */
const LINES: Record<string, [CheckName, string]> = {
  'custody.ndjson': ['package', 'custody-malformed'],
  'audit/entries.ndjson': ['log', 'entry-malformed'],
  'audit/anchors.ndjson': ['anchors', 'anchor-malformed'],
  'audit/earlier.ndjson': ['log', 'checkpoint-malformed'],
}

/** A line that keeps its schema but for one more field. */
const LINE_WITH_MORE: Record<string, string> = {
  'custody.ndjson': '{"v":1,"at":"2026-11-24T01:00:00.000Z","event":"e","by":"b","note":null,"x":1}',
  'audit/entries.ndjson': '{"index":0,"entry":"{}","path":[],"x":1}',
  'audit/anchors.ndjson': `{"entry":0,"stream":"screen","segment":0,"seq":0,"c":"${'0'.repeat(64)}","index":0,"size":1,"path":[],"x":1}`,
  'audit/earlier.ndjson': '{"note":"n","path":[],"x":1}',
}

/** Packages made to hurt whoever reads them. Most are signed: an insider could make them. */
export const HOSTILE_CASES: HostileCase[] = [
  lie('no zip at all', 'package-unreadable', { before: Buffer.alloc(0) }, () =>
    Buffer.from('PK\u0003\u0004'),
  ),
  lie('nothing', 'package-unreadable', {}, () => Buffer.alloc(0)),
  lie('a deflated file', 'package-compressed', { method: 8 }),
  lie('a strongly encrypted file', 'package-compressed', { flags: 0x41 }),
  lie('an encrypted directory', 'package-compressed', { flags: 0x2000 }),
  lie('a broken local header', 'package-file-changed', {}, (zip) => {
    zip[0] = 0
    return zip
  }),
  lie('an encrypted file', 'package-compressed', { flags: 1 }),
  lie('sizes of 2^52', 'package-size', { zip64: true, size: 2 ** 52 }),
  lie('sizes beyond the zip', 'package-unreadable', { size: MIB }),
  lie('all files in one place', 'package-unreadable', { oneOffset: true }),
  lie('a count that is too high', 'package-unreadable', { count: 60 }),
  lie('a count of 4 thousand million', 'package-unreadable', { zip64: true, count: 2 ** 32 }),
  lie('a comment', 'package-unreadable', { comment: Buffer.from('hello') }),
  // The last 22 bytes are the end record, whatever came before: an empty zip.
  lie('a comment that is an end record', 'package-file-missing', {
    comment: Buffer.concat([Buffer.from('PK\u0005\u0006', 'latin1'), Buffer.alloc(18)]),
  }),
  lie('a byte after the end', 'package-unreadable', { after: Buffer.from('x') }),
  name('a name twice', 'README.txt', 'package-unreadable'),
  name('a directory', 'keys/', 'package-unreadable'),
  name('a way out of the folder', '../../etc/passwd', 'package-name'),
  name('a way out behind a known name', 'segments/../../x', 'package-name'),
  name('an absolute path', '/etc/passwd', 'package-name'),
  name('a drive and backslashes', 'C:\\windows\\x', 'package-name'),
  name('a zero byte in a name', 'README.txt\0.x', 'package-name'),
  name('a newline in a name', 'segments/screen-0.spr\n', 'package-name'),
  name('a leading zero', 'segments/screen-00.spr', 'package-name'),
  name('another case', 'readme.txt', 'package-name'),
  name('a name that is no ASCII', 'r\u00e9sum\u00e9.jws', 'package-name'),
  name('a name of 60,000 characters', 'a'.repeat(60_000), 'package-name'),
  name('a number above any segment', 'keys/screen-9999999999.jwe', 'package-name'),
  name('a serial above any grant', 'grants/10001.jws', 'package-name'),
  {
    name: '50,001 files',
    zip: async () =>
      lyingZip(
        Array.from({ length: 50_001 }, (_, n) => [
          `approvals/${n.toString(16).padStart(64, '0')}.json`,
          Buffer.alloc(0),
        ]),
        { zip64: true },
      ),
    wants: { package: 'package-unreadable' },
  },
  {
    name: '10,000 approvals that nobody named',
    zip: async () => {
      const { files } = await makeFixture()
      for (let n = 0; n < 10_000; n++)
        files.set(`approvals/${n.toString(16).padStart(64, '0')}.json`, Buffer.from('{}'))
      return lyingZip(files)
    },
    wants: { package: 'package-file-extra', authority: 'approval-undeclared' },
  },
  ...JWS.flatMap(([path, check]) => [
    payload(`deep arrays in ${path}`, path, deep('[', ']'), { [check]: 'jws-payload' }),
    payload(`deep objects in ${path}`, path, deep('{"x":', '}', '1'), { [check]: 'jws-payload' }),
    payload(`null for an object in ${path}`, path, 'null', { [check]: 'jws-payload' }),
    payload(`a prototype in ${path}`, path, '{"__proto__":{"v":1}}', { [check]: 'jws-unknown-field' }),
  ]),
  payload('millions of empty arrays', 'grant.jws', `[${'[],'.repeat(2_000_000)}[]]`, {
    authority: 'jws-payload',
  }),
  payload('a number of a million digits', 'receipt.jws', `{"v":${'9'.repeat(MIB)}}`, {
    manifest: 'jws-payload',
  }),
  payload('a million segments that are none', 'manifest.jws', `{"segments":[${'{},'.repeat(1_000_000)}{}]}`, {
    manifest: 'jws-payload',
  }),
  payload(
    'a hundred thousand unknown fields',
    'manifest.jws',
    `{${Array.from({ length: 100_000 }, (_, n) => `"f${n}":1`).join(',')}}`,
    { manifest: 'jws-unknown-field' },
  ),
  payload('a million files that are none', 'package.jws', `{"files":[${'{},'.repeat(1_000_000)}{}]}`, {
    package: 'jws-payload',
  }),
  planned('segments listed 2,000 times', 'segment-number', 'chain', {
    manifest: (manifest) => {
      manifest.segments = Array.from({ length: 2000 }, () => manifest.segments).flat()
    },
  }),
  planned('segments that are not there, 19,000', 'segment-missing', 'chain', {
    manifest: (manifest) => {
      const [last] = manifest.segments
      if (!last) throw new Error('no segment')
      for (let number = 10; number < 19_000; number++) manifest.segments.push({ ...last, number })
    },
  }),
  content('deep asset.json', 'asset.json', deep('[', ']'), { authority: 'approval-rule-missing' }),
  content('a long number for asset.json', 'asset.json', '9'.repeat(MIB), {
    authority: 'approval-rule-missing',
  }),
  content('escapes without end', 'asset.json', `"${'\\"'.repeat(MIB / 2 - 2)}"`, {
    authority: 'approval-rule-missing',
  }),
  content('escapes that do not end', 'asset.json', `"${'\\"'.repeat(MIB / 2 - 2)}`, {
    authority: 'approval-rule-missing',
  }),
  ...['custody.ndjson', 'audit/entries.ndjson', 'audit/anchors.ndjson', 'audit/earlier.ndjson'].flatMap(
    (path) => {
      const [check, code] = LINES[path] as [CheckName, string]
      const wants = { [check]: code }
      return [
        content(`nothing but empty lines in ${path}`, path, Buffer.alloc(MIB, '\n'), wants),
        content(`millions of lines of {} in ${path}`, path, Buffer.alloc(12 * MIB, '{}\n'), wants),
        content(`a line of a byte too many in ${path}`, path, `${' '.repeat(MIB - 1)}{}\n`, wants),
        content(`a line without an end in ${path}`, path, '{}', wants),
        content(`bytes that are no text in ${path}`, path, Buffer.from([0xff, 0xfe, 0x0a]), wants),
        content(`a fraction in ${path}`, path, '{"v":1.0}\n', wants),
        content(`an unknown field in ${path}`, path, `${LINE_WITH_MORE[path]}\n`, wants),
        content(`deep lines in ${path}`, path, `${deep('[', ']', '', 400_000)}\n`, wants),
      ]
    },
  ),
  content('one line of 64 MiB', 'audit/entries.ndjson', Buffer.alloc(64 * MIB, '{'), {
    log: 'entry-malformed',
  }),
  content('a file of lines of a byte too many', 'custody.ndjson', Buffer.alloc(64 * MIB + 1, '\n'), {
    package: 'package-size',
  }),
  content('a checkpoint of half a million lines', 'audit/checkpoint', 'x\n'.repeat(MIB / 2), {
    log: 'checkpoint-malformed',
  }),
  content('an empty checkpoint', 'audit/checkpoint', '', { log: 'checkpoint-malformed' }),
  planned('a checkpoint of a log without entries', 'checkpoint-malformed', 'log', {
    files: (files) => {
      const lines = String(files.get('audit/checkpoint')).split('\n')
      lines[1] = '0'
      files.set('audit/checkpoint', Buffer.from(lines.join('\n')))
    },
  }),
  planned('another header hash behind a broken chain', 'segment-header-hash', 'chain', {
    manifest: ({ segments: [first] }) => {
      if (first) first.hh = '0'.repeat(64)
    },
    frames: ([start, ...frames]) => [start as Buffer, ...frames.map((frame) => Buffer.alloc(frame.length))],
  }),
  planned('an anchor of nothing', 'anchor-head-missing', 'anchors', {
    anchors: (anchors) => {
      const [last] = anchors.slice(-1)
      if (last) anchors.push({ ...last, entry: 9_999_999, seq: 4_000_000 })
    },
  }),
  planned('a later grant that is none', 'jws-malformed', 'authority', {
    extended: true,
    files: (files) => files.set('grants/2.jws', Buffer.from('x')),
  }),
  ...JWS.flatMap(([path, check]) => [
    planned(
      `a type that is no text in ${path}`,
      'jws-header',
      check,
      header(path, (text) => {
        const { alg, kid } = JSON.parse(text)
        return JSON.stringify({ alg, kid, typ: 5 })
      }),
    ),
    planned(`a header that is no ASCII in ${path}`, 'jws-malformed', check, header(path, null)),
  ]),
  content('a wrap that is an array', 'keys/screen-0.jwe', '[]', { content: 'wrap-malformed' }),
  content('a deep wrap', 'keys/screen-0.jwe', deep('[', ']'), { content: 'wrap-malformed' }),
  segment('a header of 4 GiB', 'header-length', (file) => {
    file.writeUInt32BE(0xffff_ffff, 4)
    return file
  }),
  segment('a frame of 4 GiB', 'frame-body-length', (file, frames) => {
    file.writeUInt32BE(0xffff_ffff, frames)
    return file
  }),
  segment('a frame that inflates to 4 GiB', 'frame-plain-length', (file, frames) => {
    file.writeUInt32BE(0xffff_ffff, frames + 25)
    file[frames + 8] = (file[frames + 8] as number) | 16
    return file
  }),
  planned('chunks that inflate to a quarter of a GiB', 'inflate-failed', 'content', {
    segments: forged(() => ({ content: deflateRawSync(Buffer.alloc(256 * MIB)), inflatesTo: 4 * MIB })),
  }),
  planned('forty chunks of 4 MiB from 45 KB each', 'content-line', 'content', {
    segments: (segments) => {
      const plain = Buffer.concat([
        Buffer.from(randomBytes(45_000).toString('hex')),
        Buffer.alloc(4 * MIB, '\n'),
      ])
      const bomb = { content: deflateRawSync(plain.subarray(0, 4 * MIB)), inflatesTo: 4 * MIB }
      const last = segments[0]
      const chunk = last?.chunks[0]
      if (!last || !chunk) throw new Error('no chunk')
      const { t0, t1 } = chunk
      last.chunks.splice(1, 0, ...Array.from({ length: 40 }, () => ({ t0, t1, forge: () => bomb })))
    },
  }),
  segment('72 MiB of noise', 'bad-magic', () => randomBytes(72 * MIB)),
  segment('72 MiB behind a whole segment', 'segment-length', (file) =>
    Buffer.concat([file, Buffer.alloc(71 * MIB)]),
  ),
]

let fixture: ReturnType<typeof makeFixture> | undefined
/** A package that nobody has spoilt. */
function whole(): ReturnType<typeof makeFixture> {
  fixture ??= makeFixture()
  return fixture
}

function deep(open: string, close: string, inside = '', depth = 300_000): string {
  const text = `${open.repeat(depth)}${inside}${close.repeat(depth)}`
  return text.length > MIB ? deep(open, close, inside, Math.floor(depth / 2)) : text
}

/** A whole package in a zip that lies. */
function lie(name: string, code: string, lies: ZipLies, spoil = (zip: Buffer) => zip): HostileCase {
  return {
    name,
    zip: async () => spoil(lyingZip((await whole()).files, lies)),
    wants: { package: code },
  }
}

/** One more file, which the signed list names if its schema can. */
function name(title: string, path: string, code: string): HostileCase {
  const extra: [string, Buffer] = [path, Buffer.from('x')]
  const zip = async () => lyingZip([...(await whole()).files, extra])
  return { name: title, zip, wants: { package: code } }
}

/** A file with other content, signed as it is. */
function content(
  title: string,
  path: string,
  bytes: Buffer | string,
  wants: HostileCase['wants'],
): HostileCase {
  const files = (all: Files) => all.set(path, Buffer.from(bytes as string))
  return { name: title, zip: async () => lyingZip((await makeFixture({ files })).files), wants }
}

/** Another payload behind a JWS's own header and signature. */
function payload(title: string, path: string, json: string, wants: HostileCase['wants']): HostileCase {
  const change = (all: Files) => {
    const [header, , signature] = String(all.get(path)).split('.')
    all.set(path, Buffer.from(`${header}.${Buffer.from(json).toString('base64url')}.${signature}`))
  }
  const plan: Plan = path === 'package.jws' ? { tamper: change } : { files: change }
  return { name: title, zip: async () => lyingZip((await makeFixture(plan)).files), wants }
}

/** Another header of a JWS; null puts a byte that is no ASCII in it. */
function header(path: string, change: ((text: string) => string) | null): Plan {
  const spoil = (all: Files) => {
    const [first = '', ...rest] = String(all.get(path)).split('.')
    const text = Buffer.from(first, 'base64url').toString()
    const changed = change ? Buffer.from(change(text)).toString('base64url') : `\u00e9${first}`
    all.set(path, Buffer.from([changed, ...rest].join('.')))
  }
  return path === 'package.jws' ? { tamper: spoil } : { files: spoil }
}

function planned(title: string, code: string, check: CheckName, plan: Plan): HostileCase {
  const zip = async () => lyingZip((await makeFixture(plan)).files)
  return { name: title, zip, wants: { [check]: code } }
}

/** The first chunk of the first segment holds something else than its lines. */
function forged(forge: NonNullable<ChunkPlan['forge']>): NonNullable<Plan['segments']> {
  return (segments) => {
    const chunk = segments[0]?.chunks[0]
    if (chunk) chunk.forge = forge
  }
}

/** The first segment's file, spoilt; `frames` is where its first frame begins. */
function segment(title: string, code: string, spoil: (file: Buffer, frames: number) => Buffer): HostileCase {
  const path = 'segments/screen-0.spr'
  const files = (all: Files) => {
    const file = Buffer.from(all.get(path) as Buffer)
    all.set(path, spoil(file, 8 + file.readUInt32BE(4)))
  }
  const zip = async () => lyingZip((await makeFixture({ files })).files)
  return { name: title, zip, wants: { chain: code } }
}
