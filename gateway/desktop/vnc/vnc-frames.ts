/** Messages of a VNC child beside those that every protocol has (child/frames.ts). */
export const VNC_FROM_CHILD = { opened: 32, resizable: 33, scancodes: 34 } as const

export function writeStart(start: { nativeFormat: boolean }): Uint8Array {
  return Uint8Array.of(start.nativeFormat ? 1 : 0)
}

export function readStart(payload: Uint8Array): { nativeFormat: boolean } {
  return { nativeFormat: payload[0] === 1 }
}
