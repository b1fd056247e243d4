import { BUTTONS, type ButtonName, HEIGHT, inside, Picture, WIDTH } from './hmi/picture.ts'
import { MixingStation } from './hmi/process.ts'
import { type RfbServer, startRfbServer } from './hmi/rfb-server.ts'

/** X11 keysyms (RFC 6143 section 7.5.4); letters are their own. */
const KEYS: Readonly<Record<number, ButtonName>> = {
  115: 'start',
  83: 'start',
  120: 'stop',
  88: 'stop',
  65362: 'higher',
  65363: 'higher',
  65364: 'lower',
  65361: 'lower',
}

/**
 * A VNC target for the demo: the operator panel of a mixing station, which works by mouse and keyboard. It stands in for
 * the plant's machine only; everything between it and the browser is the product.
 */
export function startHmi(options: {
  password: string
  timeZone: string
  clock?: () => number
}): Promise<RfbServer> {
  const clock = options.clock ?? Date.now
  const station = new MixingStation(clock)
  const picture = new Picture(options.timeZone)
  let pressed: ButtonName | null = null
  const does: Record<ButtonName, () => void> = {
    start: () => station.switchPump(true),
    stop: () => station.switchPump(false),
    lower: () => station.changeSetpoint(-1),
    higher: () => station.changeSetpoint(1),
  }
  let wasDown = false
  return startRfbServer(
    {
      name: 'Mixing station 3',
      width: WIDTH,
      height: HEIGHT,
      frame() {
        station.advance()
        return picture.draw(station.state, clock(), pressed)
      },
      pointer(x, y, buttons) {
        const isDown = (buttons & 1) !== 0
        if (isDown && !wasDown) {
          for (const name of Object.keys(BUTTONS) as ButtonName[])
            if (inside(BUTTONS[name], x, y)) pressed = name
          if (pressed) does[pressed]()
        } else if (!isDown) pressed = null
        wasDown = isDown
      },
      key(keysym, isDown) {
        const name = KEYS[keysym]
        if (isDown && name) does[name]()
      },
    },
    options.password,
  )
}
