import { type Colour, insideOf, Painter } from './painter.ts'
import { LIMITS, type MixingState, TREND_SECONDS } from './process.ts'

export const WIDTH = 1024
export const HEIGHT = 640

/** Grey while all is well; colour is for values that change, and bright colour for alarms alone. */
export const COLOUR = {
  back: 0xcdd2d5,
  panel: 0xdfe3e5,
  edge: 0xaab2b8,
  title: 0x37454f,
  titleText: 0xf4f7f8,
  text: 0x252d33,
  quiet: 0x5c6870,
  value: 0x14407c,
  pipe: 0x98a2a9,
  pipeEdge: 0x6d7880,
  flow: 0xdbe4ea,
  steel: 0xedf0f1,
  shell: 0x5f6b73,
  liquid: 0x7f9db3,
  liquidTop: 0x94b0c4,
  running: 0xf7f9fa,
  stopped: 0x6b7780,
  alarm: 0xf2c230,
  alarmText: 0x2a2205,
  plot: 0xeff2f3,
  grid: 0xd3d9dc,
} as const

export interface Area {
  x: number
  y: number
  width: number
  height: number
}
export type ButtonName = 'start' | 'stop' | 'lower' | 'higher'

/** Where a click does something. */
export const BUTTONS: Readonly<Record<ButtonName, Area>> = {
  start: { x: 732, y: 136, width: 126, height: 44 },
  stop: { x: 866, y: 136, width: 126, height: 44 },
  lower: { x: 732, y: 232, width: 60, height: 44 },
  higher: { x: 932, y: 232, width: 60, height: 44 },
}
/** A place inside of the pump's casing that no vane passes: light while it runs, dark when it stands. */
export const PUMP_LAMP = { x: 505, y: 387 }
const PUMP = { x: 505, y: 353, radius: 40 }
const TANK = { x: 236, y: 124, width: 168, height: 216, round: 26 }
const VALVE = { x: 150, y: 106 }
const TREND = { x: 66, y: 482, width: 600, height: 84 }

export function inside(area: Area, x: number, y: number): boolean {
  return x >= area.x && y >= area.y && x < area.x + area.width && y < area.y + area.height
}

/** The operator panel of the station; draws a state into its pixels. */
export class Picture {
  readonly #painter = new Painter(WIDTH, HEIGHT)
  readonly #ground: Uint8Array
  readonly #time: Intl.DateTimeFormat

  constructor(timeZone: string) {
    this.#time = new Intl.DateTimeFormat('en-GB', {
      timeZone,
      hour: '2-digit',
      minute: '2-digit',
      second: '2-digit',
    })
    drawGround(this.#painter)
    this.#ground = this.#painter.pixels.slice()
  }

  /** The pixels stay this picture's own, and change with the next call. */
  draw(state: MixingState, now: number, pressed: ButtonName | null): Uint8Array {
    const painter = this.#painter
    painter.pixels.set(this.#ground)
    painter.text(this.#time.format(now), WIDTH - 20, 15, 13, COLOUR.titleText, { align: 'right' })
    drawFlow(painter, state)
    drawTank(painter, state)
    drawValve(painter, state)
    drawPump(painter, state)
    drawFaceplate(painter, state, pressed)
    drawValues(painter, state)
    drawTrend(painter, state)
    drawAlarms(painter, state, (at) => this.#time.format(at))
    return painter.pixels
  }
}

function card(painter: Painter, x: number, y: number, width: number, height: number, heading: string): void {
  painter.panel(x, y, width, height, 4, COLOUR.panel, COLOUR.edge)
  painter.text(heading, x + 16, y + 14, 11, COLOUR.quiet, { bold: true })
}

/** Everything that never moves. */
function drawGround(painter: Painter): void {
  painter.rect(0, 0, WIDTH, HEIGHT, COLOUR.back)
  painter.rect(0, 0, WIDTH, 44, COLOUR.title)
  painter.text('Mixing station 3 - overview', 20, 14, 15, COLOUR.titleText, { bold: true })
  painter.text('Automatic', WIDTH - 128, 15, 13, 0xb9c5cd, { align: 'right' })
  card(painter, 16, 56, 684, 378, 'PROCESS')
  card(painter, 716, 56, 292, 236, 'PUMP P-301')
  card(painter, 716, 302, 292, 276, 'VALUES')
  card(painter, 16, 444, 684, 134, 'LEVEL T-301, 5 MINUTES')

  painter.panel(16, 588, 992, 40, 4, COLOUR.panel, COLOUR.edge)

  pipe(painter, 40, 106, 320, 106)
  pipe(painter, 320, 106, 320, 134)
  pipe(painter, 320, 330, 320, 390)
  pipe(painter, 320, 390, 416, 390)
  pipe(painter, 416, 390, 416, PUMP.y)
  pipe(painter, 416, PUMP.y, 505, PUMP.y)
  pipe(painter, 505, PUMP.y - 34, 620, PUMP.y - 34)
  pipe(painter, 620, PUMP.y - 34, 620, 150)
  pipe(painter, 620, 150, 672, 150)
  const { x, y, width, height, round } = TANK
  painter.panel(x - 3, y - 3, width + 6, height + 6, round + 3, COLOUR.shell)
  painter.panel(x, y, width, height, round, COLOUR.steel)
  bowTie(painter, 2, COLOUR.shell)
  arrowHead(painter, 48, 106)
  arrowHead(painter, 686, 150)
  painter.text('Water', 34, 128, 12, COLOUR.text)
  painter.text('To filler', 684, 122, 12, COLOUR.text, { align: 'right' })
  painter.text('V-301', 150, 138, 11, COLOUR.quiet, { align: 'middle' })
  painter.text('T-301', TANK.x - 14, 230, 11, COLOUR.quiet, { align: 'right' })
  painter.text('P-301', PUMP.x + 54, PUMP.y + 4, 11, COLOUR.quiet)
  tag(painter, 567, 232, 'FI-301')
  tag(painter, 424, 176, 'LI-301')
  tag(painter, 424, 262, 'TI-301')
  painter.line(404, 196, 424, 196, 1.5, COLOUR.quiet)
  painter.line(404, 282, 424, 282, 1.5, COLOUR.quiet)

  painter.text('Keys: s starts, x stops, arrows change the setpoint', 32, 410, 10, COLOUR.quiet)
  for (const name of Object.keys(BUTTONS) as ButtonName[]) button(painter, name, false)
  painter.panel(800, 232, 124, 44, 3, COLOUR.steel, COLOUR.edge)
  painter.text('Level setpoint', 732, 206, 12, COLOUR.text)
  for (const [row, [name, unit, from, to, low, high]] of VALUES.entries()) {
    const y = 346 + row * 78
    painter.text(name, 732, y, 12, COLOUR.text)
    painter.text(unit, 992, y + 3, 12, COLOUR.quiet, { align: 'right' })
    // The lighter part is where the value should be.
    painter.panel(732, y + 34, 260, 12, 2, 0xb4bdc3)
    const left = place(low, from, to)
    painter.rect(left, y + 34, place(high, from, to) - left, 12, 0xc6dbe8)
  }

  painter.rect(TREND.x, TREND.y - 2, TREND.width, TREND.height + 4, COLOUR.plot)
  for (const percent of [0, 50, 100]) {
    const y = trendY(percent)
    painter.rect(TREND.x, Math.round(y), TREND.width, 1, COLOUR.grid)
    painter.text(`${percent}`, TREND.x - 8, y - 5, 10, COLOUR.quiet, { align: 'right' })
  }
  for (let minute = 1; minute < 5; minute++)
    painter.rect(TREND.x + (minute * TREND.width) / 5, TREND.y - 2, 1, TREND.height + 4, COLOUR.grid)
  painter.line(480, 464, 504, 464, 2, COLOUR.value)
  painter.text('Level', 510, 459, 10, COLOUR.quiet)
  painter.line(566, 464, 590, 464, 2, COLOUR.pipeEdge)
  painter.text('Setpoint', 596, 459, 10, COLOUR.quiet)
}

function pipe(painter: Painter, ax: number, ay: number, bx: number, by: number): void {
  painter.line(ax, ay, bx, by, 12, COLOUR.pipeEdge)
  painter.line(ax, ay, bx, by, 9, COLOUR.pipe)
}

function arrowHead(painter: Painter, x: number, y: number): void {
  painter.polygon(
    [
      [x - 14, y - 12],
      [x + 6, y],
      [x - 14, y + 12],
    ],
    COLOUR.pipeEdge,
  )
}

/** The box of a live value in the process; what it says is drawn with the state. */
function tag(painter: Painter, x: number, y: number, name: string): void {
  painter.panel(x, y, 106, 44, 3, COLOUR.steel, COLOUR.edge)
  painter.text(name, x + 8, y + 7, 9, COLOUR.quiet)
}

/** Light dashes that move along the pipes, as far as something has flowed. */
function drawFlow(painter: Painter, state: MixingState): void {
  const spacing = 24
  const along = (from: [number, number], to: [number, number], passed: number) => {
    const length = Math.hypot(to[0] - from[0], to[1] - from[1])
    const dx = (to[0] - from[0]) / length
    const dy = (to[1] - from[1]) / length
    for (let at = passed % spacing; at + 8 < length; at += spacing)
      painter.line(
        from[0] + dx * at,
        from[1] + dy * at,
        from[0] + dx * (at + 8),
        from[1] + dy * (at + 8),
        3,
        COLOUR.flow,
      )
  }
  if (state.inflow > 0.5) {
    along([62, 106], [128, 106], state.filled * 60)
    along([174, 106], [316, 106], state.filled * 60)
  }
  if (state.outflow > 0.5) {
    const passed = state.drawn * 60
    along([320, 342], [320, 388], passed)
    along([324, 390], [414, 390], passed)
    along([416, 386], [416, 358], passed)
    along([420, PUMP.y], [466, PUMP.y], passed)
    along([548, PUMP.y - 34], [616, PUMP.y - 34], passed)
    along([620, PUMP.y - 38], [620, 278], passed)
    along([620, 230], [620, 154], passed)
  }
}

function drawTank(painter: Painter, state: MixingState): void {
  const { x, y, width, height, round } = TANK
  const surface = y + height - (state.level / 100) * height
  const wall = insideOf(x, y, width, height, round)
  const top = (px: number) => surface + 1.6 * Math.sin(px / 11 + state.agitatorAngle * 1.3)
  painter.shade(x, surface - 3, width, y + height - surface + 3, COLOUR.liquid, (px, py) =>
    Math.min(wall(px, py), py > surface + 3 ? 1 : py - top(px) + 0.5),
  )
  painter.shade(x, surface - 4, width, 9, COLOUR.liquidTop, (px, py) =>
    Math.min(wall(px, py), 2.2 - Math.abs(py - top(px) - 1)),
  )
  // The scale, with the setpoint and the limits beside it.
  for (let percent = 0; percent <= 100; percent += 10) {
    const long = percent % 50 === 0 ? 12 : 7
    const at = y + height - (percent / 100) * height
    if (percent > 0 && percent < 100) painter.line(x + 5, at, x + 5 + long, at, 1.2, COLOUR.shell)
  }
  const wanted = y + height - (state.setpoint / 100) * height
  painter.polygon(
    [
      [x - 5, wanted],
      [x - 17, wanted - 7],
      [x - 17, wanted + 7],
    ],
    COLOUR.value,
  )
  // Agitator: motor on top, shaft, and blades seen from the side.
  const middle = x + width / 2 + 34
  painter.panel(middle - 17, y - 36, 34, 30, 4, COLOUR.running, COLOUR.shell)
  painter.text('M', middle, y - 27, 11, COLOUR.text, { align: 'middle' })
  painter.line(middle, y - 4, middle, y + height - 40, 3, COLOUR.shell)
  const reach = 6 + 26 * Math.abs(Math.cos(state.agitatorAngle))
  painter.line(middle - reach, y + height - 42, middle + reach, y + height - 42, 7, COLOUR.shell)
  painter.line(middle - reach * 0.8, y + height - 96, middle + reach * 0.8, y + height - 96, 5, COLOUR.shell)
}

function bowTie(painter: Painter, grow: number, colour: Colour): void {
  const { x, y } = VALVE
  for (const side of [-1, 1])
    painter.polygon(
      [
        [x + side * (22 + grow), y - 15 - grow * 1.5],
        [x - side, y],
        [x + side * (22 + grow), y + 15 + grow * 1.5],
      ],
      colour,
    )
}

function drawValve(painter: Painter, state: MixingState): void {
  bowTie(painter, 0, state.valve > 1 ? COLOUR.running : COLOUR.stopped)
  painter.text(`${Math.round(state.valve)} %`, VALVE.x, VALVE.y + 50, 13, COLOUR.value, {
    bold: true,
    align: 'middle',
  })
}

function drawPump(painter: Painter, state: MixingState): void {
  const { x, y, radius } = PUMP
  const isTurning = state.speed > 1
  const ink = isTurning ? COLOUR.shell : 0x3e484f
  painter.disc(x, y, radius + 2.5, COLOUR.shell)
  painter.disc(x, y, radius, isTurning ? COLOUR.running : COLOUR.stopped)
  for (let vane = 0; vane < 6; vane++) {
    const angle = state.pumpAngle + (vane * Math.PI) / 3
    const bend = angle + 0.55
    const [midX, midY] = [x + 15 * Math.cos(angle), y + 15 * Math.sin(angle)]
    painter.line(x, y, midX, midY, 4, ink)
    painter.line(midX, midY, x + 27 * Math.cos(bend), y + 27 * Math.sin(bend), 4, ink)
  }
  painter.disc(x, y, 7, ink)
}

function drawFaceplate(painter: Painter, state: MixingState, pressed: ButtonName | null): void {
  const isTurning = state.speed > 1
  painter.panel(732, 88, 260, 36, 3, isTurning ? COLOUR.running : COLOUR.stopped, COLOUR.shell)
  painter.text(
    state.isPumpOn ? (state.speed < 99 ? 'STARTING' : 'RUNNING') : isTurning ? 'STOPPING' : 'STOPPED',
    746,
    100,
    13,
    isTurning ? COLOUR.text : COLOUR.titleText,
    { bold: true },
  )
  painter.text(`${Math.round(state.speed)} %`, 978, 100, 13, isTurning ? COLOUR.value : COLOUR.titleText, {
    bold: true,
    align: 'right',
  })
  if (pressed) button(painter, pressed, true)
  painter.text(`${state.setpoint.toFixed(1)} %`, 862, 246, 16, COLOUR.value, { bold: true, align: 'middle' })
}

const LABELS: Readonly<Record<ButtonName, string>> = { start: 'START', stop: 'STOP', lower: '-', higher: '+' }

function button(painter: Painter, name: ButtonName, isPressed: boolean): void {
  const { x, y, width, height } = BUTTONS[name]
  const label = LABELS[name]
  painter.panel(x, y, width, height, 4, isPressed ? 0xb4bec5 : 0xf1f4f5, COLOUR.shell)
  if (!isPressed) painter.rect(x + 3, y + height - 4, width - 6, 2, COLOUR.edge)
  const size = label.length > 1 ? 13 : 16
  painter.text(label, x + width / 2, y + (height - size) / 2 + (isPressed ? 1 : -1), size, COLOUR.text, {
    bold: true,
    align: 'middle',
  })
}

const VALUES = [
  ['Level', '%', 0, 100, LIMITS.low, LIMITS.high],
  ['Flow to filler', 'l/min', 0, 60, 30, 55],
  ['Temperature', '°C', 50, 90, 62, 74],
] as const

/** Where a value stands on its bar. */
const place = (value: number, from: number, to: number) =>
  732 + Math.round((260 * (Math.max(from, Math.min(to, value)) - from)) / (to - from))

function drawValues(painter: Painter, state: MixingState): void {
  const numbers = [state.level, state.outflow, state.temperature]
  for (const [row, [, unit, from, to, low, high]] of VALUES.entries()) {
    const number = numbers[row] ?? 0
    const y = 346 + row * 78
    painter.text(number.toFixed(1), 992 - (unit === 'l/min' ? 50 : 28), y - 2, 19, COLOUR.value, {
      bold: true,
      align: 'right',
    })
    const at = place(number, from, to)
    painter.polygon(
      [
        [at, y + 42],
        [at - 8, y + 27],
        [at + 8, y + 27],
      ],
      number < low || number > high ? COLOUR.text : COLOUR.value,
    )
  }
  painter.text(`${state.outflow.toFixed(1)} l/min`, 575, 253, 12, COLOUR.value, { bold: true })
  painter.text(`${state.level.toFixed(1)} %`, 432, 197, 12, COLOUR.value, { bold: true })
  painter.text(`${state.temperature.toFixed(1)} °C`, 432, 283, 12, COLOUR.value, { bold: true })
}

const trendY = (percent: number) => TREND.y + TREND.height - (percent / 100) * TREND.height

function drawTrend(painter: Painter, { trend }: MixingState): void {
  const step = TREND.width / TREND_SECONDS
  const place = (n: number) => TREND.x + TREND.width - (trend.length - 1 - n) * step
  for (const [of, colour, width] of [
    ['setpoint', COLOUR.pipeEdge, 1.6],
    ['level', COLOUR.value, 2],
  ] as const)
    for (let n = 1; n < trend.length; n++)
      painter.line(
        place(n - 1),
        trendY(trend[n - 1]?.[of] ?? 0),
        place(n),
        trendY(trend[n]?.[of] ?? 0),
        width,
        colour,
      )
}

function drawAlarms(painter: Painter, state: MixingState, time: (at: number) => string): void {
  const [alarm] = state.alarms
  if (alarm) {
    painter.panel(16, 588, 992, 40, 4, COLOUR.alarm, COLOUR.edge)
    painter.text(time(alarm.since), 32, 602, 12, COLOUR.alarmText, { bold: true })
    painter.text(`${alarm.tag}  ${alarm.text}`, 124, 602, 12, COLOUR.alarmText, { bold: true })
  } else painter.text('No alarm', 32, 602, 12, COLOUR.quiet)
  painter.text(
    `${time(state.event.at)}  ${state.event.text}`,
    992,
    602,
    12,
    alarm ? COLOUR.alarmText : COLOUR.quiet,
    { align: 'right' },
  )
}
