import { type RefObject, useEffect, useReducer, useRef, useState } from 'react'
import { ticketsOf } from './openings.ts'
import { SessionSocket } from './session-socket.ts'
import { BEGINNING, mayType, mayUse, reduce, type SessionPage } from './session-state.ts'
import { makeTerminal, type TerminalView } from './terminal-view.ts'

interface TerminalSession {
  page: SessionPage
  view: TerminalView | null
  leave: () => void
  /** Gives text that policy allows to the session, as if typed. */
  paste: (text: string) => void
  /** Something the person tried that policy does not allow, said once. */
  refusal: string | null
  /** Text of several lines waits for a yes: its first newline would run a command. */
  pending: string | null
  setPending: (text: string | null) => void
}

/** Ties terminal, socket and state together for one session page. */
export function useTerminal(
  sessionId: string,
  watch: boolean,
  place: RefObject<HTMLElement | null>,
): TerminalSession {
  const [page, tell] = useReducer(reduce, BEGINNING)
  const [view, setView] = useState<TerminalView | null>(null)
  const [refusal, setRefusal] = useState<string | null>(null)
  const [pending, setPending] = useState<string | null>(null)
  const latest = useRef(page)
  latest.current = page
  const socket = useRef<SessionSocket | null>(null)

  useEffect(() => {
    const element = place.current
    if (!element) return
    const made = makeTerminal(element)
    const { terminal } = made
    const encoder = new TextEncoder()
    let size = watch ? { cols: terminal.cols, rows: terminal.rows } : made.fit()
    /** Who may not act on the asset sees its size, whatever the own window's. */
    const follows = () => watch || latest.current.hello?.viewOnly === true
    const line = new SessionSocket({
      watch,
      start: () => size,
      tell,
      output: (bytes, done) => terminal.write(bytes, done),
      repaint: (cols, rows) => {
        terminal.reset()
        if (follows()) made.scaleTo(cols, rows)
      },
      resize: (cols, rows) => {
        if (follows()) made.scaleTo(cols, rows)
      },
      ticket: ticketsOf(sessionId, watch, tell),
    })
    socket.current = line
    setView(made)
    void line.connect()

    const send = (text: string, binary = false) => {
      if (!mayType(latest.current)) return
      const bytes = binary ? Uint8Array.from(text, (char) => char.charCodeAt(0) & 0xff) : encoder.encode(text)
      if (line.input(bytes)) tell({ type: 'typed' })
    }
    const heard = [
      terminal.onData((text) => send(text)),
      terminal.onBinary((text) => send(text, true)),
      // A far side that asks for attention gets none: a bell is neither sound nor title.
      terminal.onBell(() => undefined),
    ]
    const onPaste = (event: ClipboardEvent) => {
      event.preventDefault()
      event.stopPropagation()
      if (!mayUse(latest.current, 'clipboard-paste')) {
        setRefusal('Pasting into this session was not approved.')
        return
      }
      const text = event.clipboardData?.getData('text/plain') ?? ''
      if (/[\r\n]/.test(text.trimEnd())) setPending(text)
      else terminal.paste(text)
    }
    const onCopy = (event: ClipboardEvent) => {
      if (mayUse(latest.current, 'clipboard-copy')) return
      event.preventDefault()
      event.stopPropagation()
      setRefusal('Copying out of this session was not approved.')
    }
    terminal.attachCustomKeyEventHandler((event) => {
      // Ctrl+Shift+C/V as in every terminal; Ctrl+Shift+F opens the search of the page.
      if (event.type !== 'keydown' || !event.ctrlKey || !event.shiftKey) return true
      if (event.code === 'KeyC') {
        event.preventDefault()
        document.execCommand('copy')
        return false
      }
      return event.code !== 'KeyF' && event.code !== 'KeyV'
    })
    element.addEventListener('paste', onPaste, true)
    element.addEventListener('copy', onCopy, true)
    element.addEventListener('cut', onCopy, true)
    let raf = 0
    const observer = new ResizeObserver(() => {
      cancelAnimationFrame(raf)
      raf = requestAnimationFrame(() => {
        if (follows()) {
          const known = latest.current.size ?? (watch ? null : size)
          if (known) made.scaleTo(known.cols, known.rows)
          return
        }
        const next = made.fit()
        if (next.cols !== size.cols || next.rows !== size.rows) {
          size = next
          line.send({ type: 'resize', ...next })
        }
      })
    })
    observer.observe(element)
    const online = () => line.hurry()
    window.addEventListener('online', online)
    if (!watch) terminal.focus()
    return () => {
      window.removeEventListener('online', online)
      observer.disconnect()
      cancelAnimationFrame(raf)
      element.removeEventListener('paste', onPaste, true)
      element.removeEventListener('copy', onCopy, true)
      element.removeEventListener('cut', onCopy, true)
      for (const one of heard) one.dispose()
      line.close()
      made.dispose()
      socket.current = null
      setView(null)
    }
  }, [sessionId, watch, place])

  useEffect(() => {
    if (!refusal) return
    const timer = setTimeout(() => setRefusal(null), 5000)
    return () => clearTimeout(timer)
  }, [refusal])

  useEffect(() => {
    if (view) view.terminal.options.disableStdin = !mayType(page)
  }, [view, page])

  return {
    page,
    view,
    refusal,
    pending,
    setPending,
    leave: () => socket.current?.send({ type: 'leave' }),
    paste: (text) => view?.terminal.paste(text),
  }
}
