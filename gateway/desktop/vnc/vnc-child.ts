import { ChildPipe, standReady } from '../child/child-pipe.ts'
import { FROM_CHILD, TO_CHILD } from '../child/frames.ts'
import { paintWriter } from '../child/paint-writer.ts'
import { Violation } from '../violation.ts'
import { ByteSource, EndOfInput } from './decode/byte-source.ts'
import { loadJpeg } from './decode/jpeg.ts'
import { ServerMessages } from './decode/server-messages.ts'
import { readStart, VNC_FROM_CHILD } from './vnc-frames.ts'

/** The process that reads what a VNC server says. It holds no keys and reaches nothing but its two pipes. */
const pipe = new ChildPipe()
const jpeg = await loadJpeg()
standReady(pipe)

const start = pipe.receive()
if (start?.type === TO_CHILD.start) {
  const words = (...values: number[]) => new Uint8Array(Uint32Array.from(values).buffer)
  const painter = {
    ...paintWriter((type, ...parts) => pipe.send(type, ...parts)),
    opened: () => pipe.send(VNC_FROM_CHILD.opened),
    resizable: (screen: number, flags: number) => pipe.send(VNC_FROM_CHILD.resizable, words(screen, flags)),
    scancodes: () => pipe.send(VNC_FROM_CHILD.scancodes),
  }
  const source = new ByteSource(() => pipe.receive()?.payload ?? null)
  try {
    new ServerMessages(source, painter, readStart(start.payload).nativeFormat, jpeg).run()
  } catch (error) {
    // Any other error is a fault of ours: the process ends with it, and the session sees a failed decoder.
    if (error instanceof Violation) pipe.send(FROM_CHILD.violation, new TextEncoder().encode(error.message))
    else if (!(error instanceof EndOfInput)) throw error
    pipe.flush()
  }
}
