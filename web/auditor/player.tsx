import 'asciinema-player/dist/bundle/asciinema-player.css'
import { create, type Source } from 'asciinema-player'
import { useEffect, useRef } from 'react'
import type { SegmentDriver } from './segment-driver.ts'

/** The stage: asciinema-player's terminal, driven by our segments. It is text on a grid; nothing in it can be clicked. */
export function Stage({ driver }: { driver: SegmentDriver }) {
  const place = useRef<HTMLDivElement>(null)
  useEffect(() => {
    const element = place.current
    if (!element) return
    // The player takes a driver function as its source; its types name only the built-in ones.
    const source = driver.attach as unknown as Source
    const player = create(source, element, {
      controls: false,
      fit: 'both',
      preload: true,
      terminalFontFamily: "'JetBrains Mono Variable', monospace",
      theme: 'sallyport',
    })
    return () => player.dispose()
  }, [driver])
  return <div className="stage" ref={place} />
}
