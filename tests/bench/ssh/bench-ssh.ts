import { mkdir, mkdtemp, rm } from 'node:fs/promises'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { startOpenssh } from '../../lab/openssh.ts'
import { startOwnPlant } from '../plant/own-plant.ts'
import { median, percentile, type Row } from '../table.ts'
import { echoTimes, settle, type Terminal, throughput, type Way } from './terminal.ts'
import { floorWay, opensshWay, ownWay, wettyWay } from './ways.ts'

const ROUNDS = 5
const KEYS = 250
const BURST_MIB = 48
const SUSTAINED_MIB = 192
/** Not counted, the same for every way: a process that has just started is not what people work through. */
const WARM_UP = { keys: 1500, mebibytes: 64 }

/** The SSH rows: every way in every round, in turn, against one sshd; the handshake left out; medians over rounds. */
export async function benchSsh(): Promise<Row[]> {
  const folder = await mkdtemp(join(tmpdir(), 'sallyport-bench-'))
  const cache = join(import.meta.dirname, '..', '..', '..', '.cache')
  await mkdir(cache, { recursive: true })
  const sshd = await startOpenssh()
  const plant = await startOwnPlant({
    port: sshd.port,
    user: sshd.user,
    privateKey: sshd.privateKey,
    assets: 2,
  })
  const direct = await opensshWay(sshd, folder, false)
  const jump = await opensshWay(sshd, folder, true)
  const own = ownWay(plant, 0)
  const wetty = await wettyWay(sshd, cache)
  const floor = await floorWay(sshd)
  const ways: Way[] = [own, direct, jump, floor, ...(wetty ? [wetty] : [])]
  const terminals = new Map<string, Terminal>()
  try {
    for (const way of ways) {
      const terminal = await way.open()
      await settle(terminal)
      terminals.set(way.name, terminal)
      await throughput(terminal, WARM_UP.mebibytes)
      await echoTimes(terminal, WARM_UP.keys)
    }
    const echo = new Map<string, { p50: number[]; p99: number[] }>()
    const burst = new Map<string, number[]>()
    for (let round = 0; round < ROUNDS; round++) {
      // Another order in each round, so that no way always follows the same one.
      const order = [...ways.slice(round % ways.length), ...ways.slice(0, round % ways.length)]
      for (const { name } of order) {
        const times = await echoTimes(mustHave(terminals, name), KEYS)
        const into = echo.get(name) ?? { p50: [], p99: [] }
        echo.set(name, into)
        into.p50.push(percentile(times, 50))
        into.p99.push(percentile(times, 99))
      }
      for (const { name } of order) {
        const rate = await throughput(mustHave(terminals, name), BURST_MIB)
        burst.set(name, [...(burst.get(name) ?? []), rate])
      }
    }
    const sustained = { own: [] as number[], direct: [] as number[] }
    for (let round = 0; round < 3; round++) {
      sustained.own.push(await throughput(mustHave(terminals, own.name), SUSTAINED_MIB))
      sustained.direct.push(await throughput(mustHave(terminals, direct.name), SUSTAINED_MIB))
    }
    const beside = await echoBesideFlood(plant, mustHave(terminals, own.name))
    const of = (name: string) => {
      const found = echo.get(name)
      return { p50: median(found?.p50 ?? []), p99: median(found?.p99 ?? []) }
    }
    const ms = (value: number) => `${value.toFixed(2)} ms`
    const mib = (value: number) => `${(value / 1_048_576).toFixed(0)} MiB/s`
    const rate = (name: string) => median(burst.get(name) ?? [])
    const [mine, straight, jumped] = [of(own.name), of(direct.name), of(jump.name)]
    const least = of(floor.name)
    return [
      {
        what: 'SSH echo p50',
        gate: true,
        ours: ms(mine.p50),
        beside: `ProxyJump ${ms(jumped.p50)}`,
        ratio: mine.p50 / jumped.p50,
        goal: '<=',
        limit: 1.0,
      },
      {
        what: 'SSH echo p99',
        gate: true,
        ours: ms(mine.p99),
        beside: `ProxyJump ${ms(jumped.p99)}`,
        ratio: mine.p99 / jumped.p99,
        goal: '<=',
        limit: 1.0,
      },
      {
        what: 'SSH echo p50',
        gate: false,
        ours: ms(mine.p50),
        beside: `ssh ${ms(straight.p50)}`,
        ratio: mine.p50 / straight.p50,
        goal: '<=',
        limit: 1.4,
      },
      {
        what: 'the same legs with nothing of ours on them, p50',
        gate: false,
        ours: ms(least.p50),
        beside: `ProxyJump ${ms(jumped.p50)}`,
        ratio: least.p50 / jumped.p50,
        goal: '<=',
        limit: 1.0,
      },
      {
        what: 'SSH echo p50',
        gate: false,
        ours: ms(mine.p50),
        beside: `those legs ${ms(least.p50)}`,
        ratio: mine.p50 / least.p50,
        goal: '<=',
        limit: 1.25,
      },
      {
        what: 'SSH throughput, 48 MiB bursts',
        gate: true,
        ours: mib(rate(own.name)),
        beside: `ssh -tt ${mib(rate(direct.name))}`,
        ratio: rate(own.name) / rate(direct.name),
        goal: '>=',
        limit: 0.9,
      },
      {
        what: 'SSH throughput, sustained',
        gate: false,
        ours: mib(median(sustained.own)),
        beside: `ssh -tt ${mib(median(sustained.direct))}`,
        ratio: median(sustained.own) / median(sustained.direct),
        goal: '>=',
        limit: 0.4,
      },
      ...(wetty
        ? [
            {
              what: 'SSH throughput, 48 MiB bursts',
              gate: true,
              ours: mib(rate(own.name)),
              beside: `wetty ${mib(rate(wetty.name))}`,
              ratio: rate(own.name) / rate(wetty.name),
              goal: '>=' as const,
              limit: 2.0,
            },
          ]
        : []),
      {
        what: 'echo p50 beside a flood',
        gate: true,
        ours: ms(beside.flood.p50),
        beside: `idle ${ms(beside.idle.p50)}`,
        ratio: beside.flood.p50 / beside.idle.p50,
        goal: '<=',
        limit: 1.25,
      },
      {
        what: 'echo p99 beside a flood',
        gate: true,
        ours: ms(beside.flood.p99),
        beside: `idle ${ms(beside.idle.p99)}`,
        ratio: beside.flood.p99 / beside.idle.p99,
        goal: '<=',
        limit: 2.0,
      },
    ]
  } finally {
    for (const terminal of terminals.values()) await terminal.close()
    await wetty?.stop()
    await floor.stop()
    await plant.stop()
    await sshd.stop()
    await rm(folder, { recursive: true, force: true })
  }
}

/** Echo of one session while another one streams flat out, and while it is idle, in turn. */
async function echoBesideFlood(plant: Parameters<typeof ownWay>[0], quiet: Terminal) {
  const loud = await ownWay(plant, 1).open()
  await settle(loud)
  const idle = { p50: [] as number[], p99: [] as number[] }
  const flood = { p50: [] as number[], p99: [] as number[] }
  const note = (into: typeof idle, times: number[]) => {
    into.p50.push(percentile(times, 50))
    into.p99.push(percentile(times, 99))
  }
  for (let round = 0; round < ROUNDS; round++) {
    note(idle, await echoTimes(quiet, KEYS))
    let streaming = true
    const stream = (async () => {
      while (streaming) await throughput(loud, 16)
    })()
    note(flood, await echoTimes(quiet, KEYS))
    streaming = false
    await stream
  }
  await loud.close()
  const middle = (one: typeof idle) => ({ p50: median(one.p50), p99: median(one.p99) })
  return { idle: middle(idle), flood: middle(flood) }
}

function mustHave(terminals: Map<string, Terminal>, name: string): Terminal {
  const terminal = terminals.get(name)
  if (!terminal) throw new Error(`no terminal ${name}`)
  return terminal
}
