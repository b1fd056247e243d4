import { deflateSync } from 'node:zlib'
import type { ChunkPlan } from '../fixture.ts'
import { desktop, facts, keyframe, type Message, messages } from '../fixture-desktop.ts'
import { idOf } from '../fixture-keys.ts'
import {
  compact,
  copied,
  copyRect,
  cursor,
  desktopSize,
  fill,
  indexed,
  JPEG,
  jpeg,
  marker,
  png,
  pngFile,
  pngText,
  pointer,
  rect,
  serverInit,
  update,
} from '../fixture-rfb.ts'
import { type Case, invalid, truncated, valid } from './case.ts'
import { onSegment, reframed, reworded, wrapInput } from './change.ts'

/** Something in place of what changed in the first screen segment. */
const changed = (name: string, code: string, ...list: Message[]): Case =>
  invalid(
    name,
    { content: code },
    desktop(
      onSegment('screen', 0, ({ chunks }) => {
        chunks[2] = messages(1_200, list)
      }),
    ),
  )

/** Another keyframe in the second screen segment. */
const begun = (name: string, code: string, ...list: Message[]): Case =>
  invalid(
    name,
    { content: code },
    desktop(
      onSegment('screen', 1, ({ chunks }) => {
        chunks[0] = messages(300_000, list, { keyframe: true })
      }),
    ),
  )

/** A chunk's bytes changed before they are sealed. */
const torn = (name: string, code: string, change: (plain: Buffer) => Buffer): Case =>
  invalid(
    name,
    { content: code },
    desktop(
      onSegment('screen', 0, ({ chunks }) => {
        const [, , chunk] = chunks
        const content = chunk?.content
        if (chunk && content) chunk.content = (header) => change(content(header))
      }),
    ),
  )

const typed = (name: string, code: string, chunk: ChunkPlan, at = 1): Case =>
  invalid(
    name,
    { content: code },
    desktop(
      onSegment('input', 0, ({ chunks }) => {
        chunks[at] = chunk
      }),
      { files: wrapInput(0) },
    ),
  )

const [init, pointerAlone, picture] = keyframe() as [Message, Message, Message]
const written = (at: number, value: number) => (plain: Buffer) => {
  const copy = Buffer.from(plain)
  copy.writeUInt32BE(value, at)
  return copy
}
const bytes = (...values: number[]) => Buffer.from(values)

/** Check 7 for desktops, and what binds a desktop recording to its grant. */
export const DESKTOP: Case[] = [
  valid('valid-desktop', desktop()),
  valid(
    'valid-desktop-input-opened',
    desktop(() => {}, {
      files: (files) => {
        wrapInput(0)(files)
        wrapInput(1)(files)
      },
    }),
  ),
  valid(
    'valid-desktop-without-identity',
    desktop(() => {}, {
      grant: (grant) => {
        grant.identities = []
        grant.vnc = { security: 'plain', authentication: 'none' }
      },
      header: (header) => {
        header.target = { kind: 'none' }
      },
    }),
  ),
  truncated(
    'truncated-desktop-keyframe',
    desktop(
      (plans) => {
        // A crash inside the second keyframe: nothing follows it, so nothing has to be restored.
        const [, screen, , input] = plans
        if (screen) screen.chunks = [messages(300_000, [facts(), init], { keyframe: true })]
        input?.chunks.splice(1)
      },
      { recovered: true },
    ),
  ),
  changed('desktop-unknown-encoding', 'content-code', update(rect([0, 0, 1, 1], 16, bytes(0, 0, 0, 0)))),
  changed('desktop-foreign-message', 'content-code', bytes(3, 0, 0, 0, 0, 0, 0, 0)),
  changed('desktop-no-rectangle', 'content-message', update()),
  changed('desktop-update-cut', 'content-message', update(fill([0, 0, 4, 4])).subarray(0, -1)),
  changed('desktop-update-longer', 'content-message', Buffer.concat([update(fill([0, 0, 4, 4])), bytes(0)])),
  changed('desktop-bell-longer', 'content-message', bytes(2, 0)),
  changed('desktop-marker-longer', 'content-message', Buffer.concat([marker('x'), bytes(0)])),
  changed('desktop-marker-not-utf8', 'content-message', bytes(77, 0, 0, 0, 0, 0, 0, 1, 0xff)),
  changed('desktop-outside-the-screen', 'content-rectangle', update(fill([33, 0, 8, 8]))),
  changed('desktop-copied-from-outside', 'content-rectangle', update(copyRect([0, 0, 8, 8], 0, 23))),
  changed('desktop-empty-rectangle', 'content-rectangle', update(fill([0, 0, 0, 8]))),
  changed('desktop-cursor-too-large', 'content-rectangle', update(cursor(385, 1))),
  changed('desktop-screen-too-large', 'content-rectangle', update(desktopSize(8192, 8192))),
  changed('desktop-size-with-a-picture', 'content-message', update(desktopSize(50, 50), fill([0, 0, 1, 1]))),
  changed(
    'desktop-old-size-still-used',
    'content-rectangle',
    update(desktopSize(20, 20)),
    update(fill([0, 0, 40, 20])),
  ),
  changed('desktop-stream-goes-on', 'content-pixels', update(rect([0, 0, 1, 1], 7, bytes(0x0e, 1, 2, 3)))),
  changed('desktop-palette-of-one', 'content-pixels', update(indexed([0, 0, 4, 4], 1, Buffer.alloc(16)))),
  changed(
    'desktop-colour-not-there',
    'content-pixels',
    update(indexed([0, 0, 4, 4], 5, Buffer.alloc(16, 5))),
  ),
  changed(
    'desktop-gradient-filter',
    'content-pixels',
    update(rect([0, 0, 1, 1], 7, bytes(0x4f, 2, 1, 2, 3))),
  ),
  changed(
    'desktop-png-as-tight',
    'content-pixels',
    update(rect([0, 0, 8, 1], 7, bytes(0xaf), compact(pngFile(8, 1)))),
  ),
  changed(
    'desktop-zlib-longer',
    'content-pixels',
    update(copied([0, 0, 4, 4], deflateSync(Buffer.alloc(49)))),
  ),
  changed(
    'desktop-zlib-shorter',
    'content-pixels',
    update(copied([0, 0, 4, 4], deflateSync(Buffer.alloc(47)))),
  ),
  // 64 MB of nothing in 65 KB: it must end at the 48 bytes that the rectangle asks for.
  changed(
    'desktop-zlib-bomb',
    'content-pixels',
    update(copied([0, 0, 4, 4], deflateSync(Buffer.alloc(1 << 26)))),
  ),
  changed(
    'desktop-zlib-cut',
    'content-pixels',
    update(copied([0, 0, 4, 4], deflateSync(Buffer.alloc(48)).subarray(0, -1))),
  ),
  changed(
    'desktop-zlib-and-more',
    'content-pixels',
    update(copied([0, 0, 4, 4], Buffer.concat([deflateSync(Buffer.alloc(48)), bytes(0)]))),
  ),
  changed('desktop-jpeg-of-another-size', 'content-pixels', update(jpeg([0, 0, 8, 7]))),
  changed('desktop-jpeg-cut', 'content-pixels', update(jpeg([0, 0, 8, 6], JPEG.subarray(0, -1)))),
  changed(
    'desktop-jpeg-without-scan',
    'content-pixels',
    update(jpeg([0, 0, 8, 6], bytes(0xff, 0xd8, 0xff, 0xd9))),
  ),
  changed('desktop-png-of-another-size', 'content-pixels', update(png([0, 0, 8, 2], pngFile(8, 3)))),
  changed(
    'desktop-png-with-text',
    'content-pixels',
    update(png([0, 0, 8, 2], pngFile(8, 2, undefined, pngText()))),
  ),
  changed('desktop-png-row-filter', 'content-pixels', update(png([0, 0, 8, 1], pngFile(8, 1, bytes(5, 0))))),
  torn('desktop-record-cut', 'content-record', (plain) => plain.subarray(0, -1)),
  torn('desktop-record-empty', 'content-record', written(8, 0)),
  torn('desktop-record-too-long', 'content-record', written(8, 1_000_001)),
  torn('desktop-time-too-large', 'content-record', written(0, 0x0020_0000)),
  torn('desktop-time', 'content-time', written(4, 1_300_000)),
  begun('desktop-facts-of-another', 'content-foreign', facts({ recording: idOf('another') }), ...keyframe()),
  begun('desktop-facts-with-more', 'content-header', facts({ more: 1 }), ...keyframe()),
  begun('desktop-facts-missing', 'content-header', ...keyframe()),
  begun('desktop-keyframe-without-pointer', 'content-keyframe', facts(), init, picture),
  begun(
    'desktop-keyframe-leaves-out',
    'content-keyframe',
    facts(),
    init,
    pointerAlone,
    update(fill([0, 0, 40, 29])),
  ),
  begun('desktop-keyframe-cut-and-gone-on', 'content-keyframe', facts(), init),
  begun(
    'desktop-keyframe-copies',
    'content-keyframe',
    facts(),
    init,
    pointerAlone,
    update(copyRect([0, 0, 9, 9], 1, 1)),
  ),
  begun('desktop-keyframe-with-marker', 'content-keyframe', facts(), ...keyframe(), marker('x')),
  begun(
    'desktop-keyframe-outside',
    'content-rectangle',
    facts(),
    init,
    pointerAlone,
    update(fill([0, 0, 41, 30])),
  ),
  begun(
    'desktop-init-other-pixels',
    'content-message',
    facts(),
    written(4, 0x1018_0001)(serverInit()),
    pointerAlone,
    picture,
  ),
  begun('desktop-init-no-size', 'content-rectangle', facts(), serverInit(0, 30), pointerAlone, picture),
  begun(
    'desktop-init-name',
    'content-message',
    facts(),
    serverInit(40, 30, 'x'.repeat(1001)),
    pointerAlone,
    picture,
  ),
  typed(
    'desktop-input-of-another-kind',
    'content-code',
    messages(1_500, [bytes(3, 1, 0, 0, 0, 0, 0, 1, 0, 1)]),
  ),
  typed(
    'desktop-input-longer',
    'content-message',
    messages(1_500, [Buffer.concat([pointer(1, 1, 1), bytes(0)])]),
  ),
  typed('desktop-input-qemu-audio', 'content-code', messages(1_500, [bytes(255, 1, 0, 0)])),
  typed(
    'desktop-input-with-the-facts',
    'content-keyframe',
    messages(0, [facts(), pointer(1, 1, 1)], { keyframe: true }),
    0,
  ),
  invalid(
    'desktop-not-sampled',
    { chain: 'header-malformed', anchors: 'anchor-head-missing' },
    desktop(
      () => {},
      reframed(1, (parts) => parts.with(0, reworded(parts[0], '"sampling_ms":100', '"sampling_ms":0'))),
    ),
  ),
  invalid(
    'desktop-under-a-grant-for-ssh',
    { authority: 'grant-mismatch' },
    desktop(() => {}, {
      snapshot: (snapshot) => {
        snapshot.protocol = 'ssh'
      },
      grant: (grant) => {
        grant.protocol = 'ssh'
        delete grant.vnc
      },
    }),
  ),
  invalid(
    'desktop-other-certificate',
    { authority: 'target-mismatch' },
    desktop(() => {}, {
      grant: (grant) => {
        grant.identities = [{ algorithm: 'x509-sha256', fingerprint: `SHA256:${'A'.repeat(43)}` }]
      },
    }),
  ),
  invalid(
    'desktop-pinned-but-none',
    { authority: 'target-mismatch' },
    desktop(() => {}, {
      header: (header) => {
        header.target = { kind: 'none' }
      },
    }),
  ),
  invalid(
    'desktop-input-hidden-with-the-facts',
    { 'input-window': 'input-after-window' },
    desktop(
      onSegment('input', 1, ({ chunks }) => {
        chunks.splice(0, 2, messages(300_000, [facts(), Buffer.alloc(300, 4)], { keyframe: true }))
      }),
      {
        grant: (grant) => {
          grant.exp = Math.floor(grant.iat) + 200
        },
      },
    ),
  ),
]
