import { type RefObject, useEffect, useReducer, useRef, useState } from 'react'
import { ticketsOf } from '../session/openings.ts'
import { SessionSocket } from '../session/session-socket.ts'
import { BEGINNING, mayType, mayUse, reduce, type SessionPage } from '../session/session-state.ts'
import { DesktopView, isTouch } from './desktop-view.ts'
import { chosenKeyboard } from './keyboard.ts'

interface DesktopSession {
  page: SessionPage
  view: DesktopView | null
  leave: () => void
  /** Something the person tried that policy does not allow, said once. */
  refusal: string | null
  refuse: (sentence: string) => void
  /** The newest text of the asset's clipboard. */
  copied: string | null
  /** The person does something beside the picture. */
  acted: () => void
}

const HANDS = ['keydown', 'pointerdown', 'wheel'] as const

/** Ties desktop, socket and state together for one session page. */
export function useDesktop(
  sessionId: string,
  watch: boolean,
  place: RefObject<HTMLElement | null>,
  /** The asset makes the desktop to measure. */
  toMeasure = false,
): DesktopSession {
  const [page, tell] = useReducer(reduce, BEGINNING)
  const [view, setView] = useState<DesktopView | null>(null)
  const [refusal, refuse] = useState<string | null>(null)
  const [copied, setCopied] = useState<string | null>(null)
  const latest = useRef(page)
  latest.current = page
  const socket = useRef<SessionSocket | null>(null)

  useEffect(() => {
    const element = place.current
    if (!element) return
    const made = new DesktopView(element, {
      copied: (text) => {
        if (mayUse(latest.current, 'clipboard-copy')) setCopied(text)
      },
      broken: () => line.again(),
    })
    const line = new SessionSocket({
      watch,
      start: () => (toMeasure ? { keyboard: chosenKeyboard(), ...roomIn(element) } : {}),
      tell,
      begun: () => made.begin((bytes) => void line.input(bytes)),
      gone: () => made.end(),
      // RFB says by itself how far the browser is.
      output: (bytes) => made.receive(bytes),
      repaint: () => undefined,
      resize: () => undefined,
      ticket: ticketsOf(sessionId, watch, tell),
    })
    socket.current = line
    setView(made)
    void line.connect()
    const acted = () => {
      if (mayType(latest.current)) tell({ type: 'typed' })
    }
    for (const kind of HANDS) element.addEventListener(kind, acted, { capture: true, passive: true })
    const online = () => line.hurry()
    window.addEventListener('online', online)
    return () => {
      window.removeEventListener('online', online)
      for (const kind of HANDS) element.removeEventListener(kind, acted, { capture: true })
      line.close()
      made.dispose()
      socket.current = null
      setView(null)
    }
  }, [sessionId, watch, place, toMeasure])

  useEffect(() => {
    if (!refusal) return
    const timer = setTimeout(() => refuse(null), 5000)
    return () => clearTimeout(timer)
  }, [refusal])

  useEffect(() => view?.mayAct(mayType(page)), [view, page])

  return {
    page,
    view,
    refusal,
    refuse,
    copied,
    acted: () => tell({ type: 'typed' }),
    leave: () => socket.current?.send({ type: 'leave' }),
  }
}

/** On a screen for fingers a desktop of that size would hold nothing: the usual one is scaled instead. */
function roomIn(element: HTMLElement): { room?: { width: number; height: number } } {
  const { width, height } = element.getBoundingClientRect()
  if (isTouch() || width < 1 || height < 1) return {}
  return { room: { width: Math.floor(width), height: Math.floor(height) } }
}
