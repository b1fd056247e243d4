import { startOwnPlant } from '../plant/own-plant.ts'
import { median, type Row } from '../table.ts'
import type { Desktop, DesktopWay } from './desktop-way.ts'
import { startGuacd } from './guacd.ts'
import { cpuSeconds } from './process-cpu.ts'
import { type Stage, startStage } from './stage.ts'
import { guacdWay, ownWay, websockifyWay } from './ways.ts'

export interface DesktopBounds {
  /** Of scrolling, for bytes, processor time and recordings. */
  seconds: number
}

const OPENINGS = 9
const KEY_ROUNDS = 5
const KEYS = 40
const SCROLL_ROUNDS = 3
/** Not counted: each of our session threads makes its decoders and encoders with its first desktop. */
const WARM_OPENINGS = 4

interface Figures {
  first: number[]
  keys: number[]
  cpuPerMegapixel: number[]
  cpu: number[]
  bytes: number[]
  recorded: number[]
}

/**
 * The VNC rows. The RDP rows (first frame, processor time, bytes, recording beside guacd's) go beside them: a stage with an
 * RDP server on it, the same ways with guacd's `rdp`, the same visits.
 *
 * Every way in every round, in turn, against one X server that shows the same; medians over rounds.
 */
export async function benchDesktop({ seconds }: DesktopBounds): Promise<Row[]> {
  const stage = await startStage()
  const { vnc } = stage
  const plant = await startOwnPlant({
    port: vnc.port,
    user: 'vnc',
    password: vnc.password,
    assets: 1,
    vnc: { security: 'plain', authentication: 'password' },
  })
  const guacd = await startGuacd()
  const websockify = await websockifyWay(vnc)
  const own = ownWay(plant)
  const guac = guacd && guacdWay(guacd, vnc)
  const ways = [own, guac, websockify].filter((way) => way !== null)
  const figures = new Map(ways.map(({ name }) => [name, emptyFigures()]))
  const of = (way: DesktopWay) => figures.get(way.name) ?? emptyFigures()
  try {
    for (let round = 0; round < WARM_OPENINGS; round++) for (const way of ways) await visit(stage, way)
    for (let round = 0; round < OPENINGS; round++)
      for (const way of turned(ways, round))
        await visit(stage, way, async ({ firstPictureMs }) => void of(way).first.push(firstPictureMs))
    for (let round = 0; round < KEY_ROUNDS; round++)
      for (const way of turned(ways, round))
        await visit(stage, way, async (desktop) => void of(way).keys.push(median(await keyTimes(desktop))))
    for (let round = 0; round < SCROLL_ROUNDS; round++)
      for (const way of turned(ways, round)) await scroll(stage, way, of(way), seconds)
    return rows(of(own), guac && of(guac), websockify && of(websockify), seconds)
  } finally {
    await websockify?.stop()
    await guacd?.stop()
    await plant.stop()
    await stage.stop()
  }
}

const emptyFigures = (): Figures => ({
  first: [],
  keys: [],
  cpuPerMegapixel: [],
  cpu: [],
  bytes: [],
  recorded: [],
})

/** Another order in each round, so that no way always follows the same one. */
function turned<T>(all: readonly T[], round: number): T[] {
  return [...all.slice(round % all.length), ...all.slice(0, round % all.length)]
}

async function visit(
  stage: Stage,
  way: DesktopWay,
  look: (desktop: Desktop) => Promise<void> = async () => {},
): Promise<number | null> {
  const desktop = await way.open(await stage.picture())
  await look(desktop)
  await desktop.close()
  return await way.recordedBytes()
}

/** Milliseconds from each keystroke to the whole update that shows it. */
async function keyTimes(desktop: Desktop): Promise<number[]> {
  desktop.pointer(0, 400 + Math.round(Math.random() * 50), 300)
  const times: number[] = []
  for (let key = 0; key < KEYS; key++) {
    // As a person types: the one before is drawn.
    await quiet(desktop)
    const keysym = 0x61 + (key % 26)
    const began = performance.now()
    const shown = new Promise<number>((done, fail) => {
      const timer = setTimeout(() => fail(new Error('a key was not shown')), 10_000)
      desktop.onUpdate(() => {
        clearTimeout(timer)
        done(performance.now() - began)
      })
    })
    desktop.key(true, keysym)
    desktop.key(false, keysym)
    times.push(await shown)
  }
  desktop.onUpdate(() => {})
  return times
}

async function quiet(desktop: Desktop): Promise<void> {
  let last = performance.now()
  desktop.onUpdate(() => {
    last = performance.now()
  })
  while (performance.now() - last < 60) await new Promise((done) => setTimeout(done, 10))
}

async function scroll(stage: Stage, way: DesktopWay, into: Figures, seconds: number): Promise<void> {
  const recorded = await visit(stage, way, async ({ shown }) => {
    const before = { ...shown }
    const cpu = await cpuSeconds(way.pid, ['postgres'])
    await stage.scroll(seconds)
    const spent = (await cpuSeconds(way.pid, ['postgres'])) - cpu
    into.cpu.push(spent)
    into.cpuPerMegapixel.push(spent / ((shown.pixels - before.pixels) / 1e6))
    into.bytes.push(shown.bytes - before.bytes)
  })
  if (recorded !== null) into.recorded.push(recorded)
}

const ms = (values: readonly number[]) => `${median(values).toFixed(1)} ms`
const mb = (values: readonly number[]) => `${(median(values) / 1e6).toFixed(2)} MB`

function rows(own: Figures, guacd: Figures | null, novnc: Figures | null, seconds: number): Row[] {
  const table: Row[] = []
  const beside = (name: string, peer: Figures | null, row: (peer: Figures) => Omit<Row, 'goal'>) => {
    // What is not there has no ratio: the row is not reached, and says why.
    if (peer) table.push({ ...row(peer), goal: '<=' })
    else
      table.push({
        ...row(own),
        beside: `${name}: NOT INSTALLED`,
        ratio: Number.NaN,
        goal: '<=',
      })
  }
  const first = (name: string) => (peer: Figures) => ({
    what: 'VNC first pixel',
    gate: true,
    ours: ms(own.first),
    beside: `${name} ${ms(peer.first)}`,
    ratio: median(own.first) / median(peer.first),
    limit: 1,
  })
  beside('guacd', guacd, first('guacd'))
  beside('noVNC + websockify', novnc, first('noVNC + websockify'))
  beside('noVNC + websockify', novnc, (peer) => ({
    what: 'VNC key to pixel p50',
    gate: false,
    ours: ms(own.keys),
    beside: `noVNC + websockify ${ms(peer.keys)}`,
    ratio: median(own.keys) / median(peer.keys),
    limit: 1.2,
  }))
  beside('guacd', guacd, (peer) => ({
    what: `VNC CPU per megapixel shown, ${seconds} s of scrolling`,
    gate: false,
    ours: `${(median(own.cpuPerMegapixel) * 1000).toFixed(1)} ms (${median(own.cpu).toFixed(1)} s)`,
    beside: `guacd ${(median(peer.cpuPerMegapixel) * 1000).toFixed(1)} ms (${median(peer.cpu).toFixed(1)} s)`,
    ratio: median(own.cpuPerMegapixel) / median(peer.cpuPerMegapixel),
    limit: 1,
  }))
  beside('guacd', guacd, (peer) => ({
    what: `VNC bytes to the browser, ${seconds} s of scrolling`,
    gate: false,
    ours: mb(own.bytes),
    beside: `guacd ${mb(peer.bytes)}`,
    ratio: median(own.bytes) / median(peer.bytes),
    limit: 0.5,
  }))
  beside('guacd', guacd, (peer) => ({
    what: `desktop recording, ${seconds} s of scrolling`,
    gate: true,
    ours: mb(own.recorded),
    beside: `guacd's, zstd ${mb(peer.recorded)}`,
    ratio: median(own.recorded) / median(peer.recorded),
    limit: 0.2,
  }))
  return table
}
