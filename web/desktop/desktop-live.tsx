import {
  IconArrowsMaximize,
  IconArrowsMove,
  IconAspectRatio,
  IconClipboard,
  IconClipboardText,
  IconKeyboard,
  IconZoomReset,
  IconZoomScan,
} from '@tabler/icons-react'
import { useEffect, useRef, useState } from 'react'
import { SessionShell } from '../session/session-shell.tsx'
import { mayType, mayUse } from '../session/session-state.ts'
import type { Session } from '../shared/session-status.tsx'
import { ClipboardRow } from './clipboard-row.tsx'
import { isTouch, type Scale } from './desktop-view.ts'
import { KeyRow } from './key-row.tsx'
import { useDesktop } from './use-desktop.ts'
import './desktop.css'

/** The vendor's desktop. */
export function DesktopLive({ session }: { session: Session }) {
  const place = useRef<HTMLDivElement>(null)
  const toMeasure = session.protocol === 'rdp'
  const { page, view, leave, refusal, refuse, copied, acted } = useDesktop(
    session.id,
    false,
    place,
    toMeasure,
  )
  const [scale, setScale] = useState<Scale>('fit')
  const [moves, setMoves] = useState(false)
  /** The asset's text that the person has looked at: newer text is marked at the button, and moves nothing. */
  const [seen, setSeen] = useState<string | null>(null)
  const [row, setRow] = useState<'keys' | 'clipboard' | null>(null)
  useEffect(() => view?.scale(scale), [view, scale])
  useEffect(() => view?.movePicture(moves), [view, moves])
  const toggle = (wanted: 'keys' | 'clipboard') => setRow((open) => (open === wanted ? null : wanted))
  const may = mayType(page)
  const mayPaste = mayUse(page, 'clipboard-paste')
  const mayCopy = mayUse(page, 'clipboard-copy')
  const news = mayCopy && copied !== null && copied !== seen
  const focus = () => view?.focus()
  return (
    <SessionShell
      session={session}
      page={page}
      place={place}
      refusal={refusal}
      pending={null}
      answerPaste={() => undefined}
      leave={leave}
      focus={focus}
      buttons={
        <>
          <button
            type="button"
            onClick={() => {
              setScale((now) => (now === 'fit' ? 'actual' : 'fit'))
              focus()
            }}
            aria-label={scale === 'fit' ? 'Show pixel by pixel' : 'Fit to the window'}
            title={scale === 'fit' ? 'Show pixel by pixel' : 'Fit to the window'}
          >
            {scale === 'fit' ? (
              <IconZoomReset size={16} aria-hidden />
            ) : (
              <IconZoomScan size={16} aria-hidden />
            )}
          </button>
          {toMeasure && !isTouch() ? (
            <button
              type="button"
              disabled={!may}
              onClick={() => {
                view?.matchWindow()
                acted()
                focus()
              }}
              aria-label="Make the desktop as large as this window"
              title="Make the desktop as large as this window"
            >
              <IconAspectRatio size={16} aria-hidden />
            </button>
          ) : null}
          {scale === 'actual' && isTouch() ? (
            <button
              type="button"
              onClick={() => setMoves((now) => !now)}
              aria-pressed={moves}
              aria-label="Move the picture"
              title="Move the picture"
            >
              <IconArrowsMove size={16} aria-hidden />
            </button>
          ) : null}
          <FullScreen done={focus} />
          <button
            type="button"
            onClick={() => {
              toggle('keys')
              focus()
            }}
            aria-pressed={row === 'keys'}
            aria-label="Keys"
            title="Keys"
          >
            <IconKeyboard size={16} aria-hidden />
          </button>
          <button
            type="button"
            onClick={() => {
              if (!mayPaste && !mayCopy) refuse('Neither copying nor pasting was approved for this session.')
              else {
                toggle('clipboard')
                setSeen(copied)
              }
            }}
            aria-pressed={row === 'clipboard'}
            aria-label={news ? 'Clipboard, with new text' : 'Clipboard'}
            title={news ? 'The asset has copied something' : 'Clipboard'}
          >
            {news ? <IconClipboardText size={16} aria-hidden /> : <IconClipboard size={16} aria-hidden />}
          </button>
        </>
      }
      rows={
        <>
          {row === 'keys' && view ? (
            <KeyRow view={view} disabled={!may} acted={acted} key={String(may)} />
          ) : null}
          {row === 'clipboard' && view ? (
            <ClipboardRow
              key={copied}
              copied={mayCopy ? copied : null}
              disabled={!may}
              mayCopy={mayCopy}
              latinOnly={session.protocol === 'vnc'}
              paste={
                mayPaste
                  ? (text) => {
                      view.paste(text)
                      acted()
                      setRow(null)
                      focus()
                    }
                  : null
              }
              close={() => {
                setRow(null)
                setSeen(copied)
                focus()
              }}
            />
          ) : null}
        </>
      }
    />
  )
}

/** All of the session, with its strip: the time left stays in sight. Where the browser has no full screen, nothing. */
function FullScreen({ done }: { done: () => void }) {
  const button = useRef<HTMLButtonElement>(null)
  if (!document.fullscreenEnabled) return null
  const toggle = () => {
    if (document.fullscreenElement) void document.exitFullscreen()
    // A browser that says no keeps its window as it is.
    else
      void button.current
        ?.closest('.session')
        ?.requestFullscreen()
        .catch(() => undefined)
    done()
  }
  return (
    <button type="button" ref={button} onClick={toggle} aria-label="Full screen" title="Full screen">
      <IconArrowsMaximize size={16} aria-hidden />
    </button>
  )
}
