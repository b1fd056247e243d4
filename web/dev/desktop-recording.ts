/** A panel of a mixing plant as a desktop's recording: plain areas, which is what most of such a screen is. */
const [WIDTH, HEIGHT] = [1024, 640]
const SEGMENT_MS = 90_000
const STEP_MS = 3_000
type Area = readonly [x: number, y: number, width: number, height: number, colour: number]

const FRAME: Area[] = [
  [0, 0, WIDTH, HEIGHT, 0xd4d8db],
  [0, 0, WIDTH, 44, 0x37474f],
  [16, 12, 190, 20, 0xeceff1],
  [WIDTH - 150, 12, 134, 20, 0x90a4ae],
  [0, 44, 168, HEIGHT - 44, 0xb8c0c5],
  ...Array.from(
    { length: 7 },
    (_, row): Area => [14, 62 + row * 52, 140, 38, row === 2 ? 0x546e7a : 0xdfe4e7],
  ),
  ...[0, 1, 2, 3].flatMap((tank): Area[] => [
    [220 + tank * 200, 110, 130, 300, 0x78848c],
    [224 + tank * 200, 114, 122, 292, 0xf5f7f8],
    [280 + tank * 200, 410, 10, 90, 0x78848c],
  ]),
  [220, 500, 740, 12, 0x78848c],
  [220, 540, 740, 74, 0xf5f7f8],
]

/** The tanks' levels and the pumps at that step. */
function state(step: number): Area[] {
  return [0, 1, 2, 3].flatMap((tank): Area[] => {
    const level = Math.round(140 + 120 * Math.sin(step / 9 + tank * 1.7))
    const runs = (step + tank) % 5 < 3
    return [
      [224 + tank * 200, 114, 122, 292 - level, 0xf5f7f8],
      [224 + tank * 200, 406 - level, 122, level, tank === 2 && level > 230 ? 0xd08770 : 0x8fa3ad],
      [266 + tank * 200, 490, 38, 32, runs ? 0x5c8a6b : 0x9aa5ab],
      [228 + ((step * 7 + tank * 3) % 720), 548, 4, 58, 0x607d8b],
    ]
  })
}

function update(areas: readonly Area[]): Buffer {
  const head = Buffer.from([0, 0, areas.length >> 8, areas.length & 0xff])
  const fills = areas.map(([x, y, width, height, colour]) => {
    const rect = Buffer.alloc(16)
    for (const [place, value] of [x, y, width, height].entries()) rect.writeUInt16BE(value, place * 2)
    rect.writeInt32BE(7, 8)
    rect.writeUIntBE(0x8f00_0000 + colour, 12, 4)
    return rect
  })
  return Buffer.concat([head, ...fills])
}

function record(timeMs: number, message: Uint8Array): Buffer {
  const head = Buffer.alloc(12)
  head.writeBigUInt64BE(BigInt(timeMs * 1000))
  head.writeUInt32BE(message.length, 8)
  return Buffer.concat([head, message])
}

/** One opened segment, as GET /api/recordings/:id/screen/:segment gives it. */
export function desktopSegment(number: number): Buffer {
  const start = number * SEGMENT_MS
  const init = Buffer.concat([
    Buffer.from([WIDTH >> 8, WIDTH & 0xff, HEIGHT >> 8, HEIGHT & 0xff]),
    Buffer.from('2018000100ff00ff00ff00081000000000000000', 'hex'),
  ])
  const first = start / STEP_MS
  const changes = Array.from({ length: SEGMENT_MS / STEP_MS - 1 }, (_, step) =>
    record(start + (step + 1) * STEP_MS, update(state(first + step + 1))),
  )
  const facts = Buffer.from('{"v":1}')
  const keyframe = [facts, init, update([...FRAME, ...state(first)])].map((one) => record(start, one))
  return Buffer.concat([...keyframe, ...changes])
}
