import { init } from '@devolutions/iron-remote-desktop-rdp'
import { CanvasRenderingContext2D, ImageData } from './canvas.ts'
import { LoopbackWebSocket, SynchronousBlob } from './loopback-socket.ts'

/** Text that IronRDP would print; standard output is the way to the session, and nobody reads the rest. */
const CONSOLE = ['debug', 'error', 'info', 'log', 'trace', 'warn'] as const

/**
 * Makes this process look as much like a browser's page as IronRDP looks for, and loads it. Replacing the platform's own
 * Blob is why it needs a process that runs nothing else.
 *
 * Its module holds the program as a data URL. Node's own fetch takes a second to make bytes of that; without a Response in
 * sight the module takes them as they are.
 */
export async function loadEngine(): Promise<void> {
  const globals: Record<string, unknown> = {
    WebSocket: LoopbackWebSocket,
    Blob: SynchronousBlob,
    CanvasRenderingContext2D,
    ImageData,
    Window: { [Symbol.hasInstance]: (value: unknown) => value === globalThis },
    Response: undefined,
    Request: undefined,
    fetch: async (url: string) => Buffer.from(url.slice(url.indexOf(',') + 1), 'base64'),
  }
  for (const [name, value] of Object.entries(globals))
    Object.defineProperty(globalThis, name, { value, configurable: true, writable: true })
  for (const word of CONSOLE) console[word] = () => {}
  await init('error')
}

/** Why IronRDP's `connect` failed; its kinds by number (IronErrorKind). */
const KINDS = [
  'general',
  'wrong-password',
  'logon-failure',
  'access-denied',
  'clean-path',
  'proxy',
  'negotiation',
] as const
export type IronErrorKind = (typeof KINDS)[number]

export function readIronError(error: unknown): { kind: IronErrorKind; text: string } {
  const value = error as { kind?: () => number; backtrace?: () => string } | null
  if (typeof value?.kind !== 'function') return { kind: 'general', text: String(error) }
  return { kind: KINDS[value.kind()] ?? 'general', text: value.backtrace?.() ?? '' }
}
