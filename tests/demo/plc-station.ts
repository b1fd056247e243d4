import { readFile } from 'node:fs/promises'
import { join } from 'node:path'
import { startXrdpMachine, type XrdpMachine } from '../lab/xrdp-machine.ts'

/** An xterm that starts anew when its program ends. */
const PROGRAMS = [
  "xsetroot -solid '#26465c'",
  'while LC_ALL=C.UTF-8 xterm -title "Paint line 1 - engineering" -fa "DejaVu Sans Mono" -fs 11 -b 0 +sb \\',
  "  -bg '#fcfcfa' -fg '#26323c' -e /bin/bash plc.sh; do sleep 1; done",
]

/**
 * An RDP target for the demo: an engineering station with the ladder program of a paint line's controller, which works by
 * mouse and keyboard. It stands in for the plant's machine only; everything between it and the browser is the product.
 */
export async function startPlcStation(): Promise<XrdpMachine> {
  const text = (name: string) => readFile(join(import.meta.dirname, 'station', name), 'utf8')
  return await startXrdpMachine({
    user: 'engineering',
    files: { 'plc.sh': await text('plc.sh'), '.config/openbox/rc.xml': await text('rc.xml') },
    programs: PROGRAMS,
  })
}
