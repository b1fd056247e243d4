/** What the panel shows and changes: a tank that is filled through a valve and emptied by a pump. */
export interface MixingState {
  /** Percent. */
  level: number
  setpoint: number
  /** 0 to 100: the inlet valve follows the level. */
  valve: number
  /** 0 to 100; runs up and down in some seconds. */
  speed: number
  isPumpOn: boolean
  /** Litres a minute. */
  inflow: number
  outflow: number
  /** °C. */
  temperature: number
  /** Turned so far, in radians. */
  pumpAngle: number
  agitatorAngle: number
  /** Flowed so far, in litres. */
  filled: number
  drawn: number
  /** Level and setpoint, one a second, the newest last. */
  trend: { level: number; setpoint: number }[]
  alarms: readonly Alarm[]
  event: { at: number; text: string }
}

export interface Alarm {
  tag: string
  text: string
  /** Epoch milliseconds. */
  since: number
}

export const LIMITS = { low: 25, high: 85 } as const
export const TREND_SECONDS = 300
const STEP_MS = 100
/** A clock that jumps (a suspended machine) is not caught up with for longer than this. */
const LONGEST_MS = 60_000
const SETPOINTS = { from: 10, to: 95, by: 5 } as const
const LARGEST_INFLOW = 64
/** Litres in one percent of the tank: a small one, so that a change is seen within seconds. */
const LITRES = 0.35

/** The mixing station itself; its time is the clock's, so that it can be asked at any moment. */
export class MixingStation {
  readonly state: MixingState
  readonly #clock: () => number
  #at: number
  #untilSample = 0

  constructor(clock: () => number) {
    this.#clock = clock
    this.#at = clock()
    this.state = {
      level: 58,
      setpoint: 65,
      valve: 60,
      speed: 100,
      isPumpOn: true,
      inflow: 40,
      outflow: 42,
      temperature: 68.2,
      pumpAngle: 0,
      agitatorAngle: 0,
      filled: 0,
      drawn: 0,
      trend: [],
      alarms: [],
      event: { at: this.#at, text: 'Shift change, station in automatic' },
    }
    // The trend has a past when the panel is first looked at.
    this.#at -= TREND_SECONDS * 1000
    for (let n = 0; n < TREND_SECONDS * (1000 / STEP_MS); n++) this.#step()
  }

  /** Brings the station to the clock's time. */
  advance(): void {
    const now = this.#clock()
    if (now - this.#at > LONGEST_MS || now < this.#at) this.#at = now - STEP_MS
    while (now - this.#at >= STEP_MS) this.#step()
  }

  switchPump(on: boolean): void {
    if (this.state.isPumpOn === on) return
    this.state.isPumpOn = on
    this.#say(`Pump P-301 ${on ? 'started' : 'stopped'} from this panel`)
  }

  changeSetpoint(direction: 1 | -1): void {
    const { state } = this
    const wanted = Math.max(SETPOINTS.from, Math.min(SETPOINTS.to, state.setpoint + direction * SETPOINTS.by))
    if (wanted === state.setpoint) return
    state.setpoint = wanted
    this.#say(`Level setpoint changed to ${wanted} %`)
  }

  #say(text: string): void {
    this.state.event = { at: this.#clock(), text }
  }

  #step(): void {
    const { state } = this
    this.#at += STEP_MS
    const seconds = STEP_MS / 1000
    const time = this.#at / 1000
    const wave = (period: number) => Math.sin((time * 2 * Math.PI) / period)
    state.speed = towards(state.speed, state.isPumpOn ? 100 : 0, 55 * seconds)
    const demand = 41 + 9 * wave(83) + 4 * wave(31)
    state.outflow = state.level < 0.5 ? 0 : (demand + 0.4 * wave(1.7)) * (state.speed / 100)
    const wanted = Math.max(0, Math.min(100, (state.setpoint - state.level) * 4 + state.speed * 0.64))
    state.valve = towards(state.valve, wanted, 30 * seconds)
    state.inflow = (state.valve / 100) * LARGEST_INFLOW
    state.level = Math.max(
      0,
      Math.min(100, state.level + (((state.inflow - state.outflow) / 60) * seconds) / LITRES),
    )
    const warm = 68 + 0.8 * wave(61) - state.inflow / 60 + state.outflow / 60
    state.temperature += (warm - state.temperature) * 0.05 * seconds
    state.pumpAngle += (state.speed / 100) * 3.2 * seconds
    state.agitatorAngle += 2.2 * seconds
    state.filled += (state.inflow / 60) * seconds
    state.drawn += (state.outflow / 60) * seconds
    this.#untilSample -= STEP_MS
    if (this.#untilSample <= 0) {
      this.#untilSample = 1000
      state.trend.push({ level: state.level, setpoint: state.setpoint })
      if (state.trend.length > TREND_SECONDS) state.trend.shift()
    }
    this.#watch('LAL-301', 'Tank T-301 level low', state.level < LIMITS.low)
    this.#watch('LAH-301', 'Tank T-301 level high', state.level > LIMITS.high)
  }

  #watch(tag: string, text: string, isActive: boolean): void {
    const others = this.state.alarms.filter((alarm) => alarm.tag !== tag)
    if (isActive === others.length < this.state.alarms.length) return
    this.state.alarms = isActive ? [...others, { tag, text, since: this.#at }] : others
  }
}

const towards = (value: number, wanted: number, most: number) =>
  value + Math.max(-most, Math.min(most, wanted - value))
