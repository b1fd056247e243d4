/** A screen that most programs of an engineering station fit on. */
const USUAL = { width: 1280, height: 800 }
/** Below 640x480 Windows draws nothing usable; RDP's limit is 8192, and a screen of 4K is enough for a browser. */
const SMALLEST = { width: 640, height: 480 }
const LARGEST = { width: 3840, height: 2160 }

/** The desktop to ask for when a browser has so much room: within what servers and people can use, and even. */
export function desktopSize(width?: number, height?: number): { width: number; height: number } {
  const within = (value: number | undefined, side: 'width' | 'height') =>
    Math.min(Math.max(Math.trunc(value ?? USUAL[side]), SMALLEST[side]), LARGEST[side]) & ~1
  return { width: within(width, 'width'), height: within(height, 'height') }
}
