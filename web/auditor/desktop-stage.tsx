import { useEffect, useRef } from 'react'
import type { ReplayChannel } from './replay-channel.ts'

/** The stage of a desktop: noVNC, unmodified, which only looks on. */
export function DesktopStage({ channel }: { channel: ReplayChannel }) {
  const place = useRef<HTMLDivElement>(null)
  useEffect(() => {
    const element = place.current
    if (!element) return
    let close = () => {}
    let isGone = false
    void import('@novnc/novnc').then(({ default: RFB }) => {
      if (isGone) return
      const rfb = new RFB(element, channel)
      rfb.viewOnly = true
      rfb.scaleViewport = true
      rfb.focusOnClick = false
      rfb.background = '#0e1215'
      close = () => rfb.disconnect()
    })
    return () => {
      isGone = true
      close()
    }
  }, [channel])
  return <div className="stage" ref={place} role="img" aria-label="The recorded desktop" />
}
