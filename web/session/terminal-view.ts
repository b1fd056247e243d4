import '@xterm/xterm/css/xterm.css'
import { FitAddon } from '@xterm/addon-fit'
import { SearchAddon } from '@xterm/addon-search'
import { Unicode11Addon } from '@xterm/addon-unicode11'
import { type ITheme, Terminal } from '@xterm/xterm'

export interface TerminalView {
  terminal: Terminal
  search: SearchAddon
  /** Fits the terminal into its place; returns the size in cells. */
  fit: () => { cols: number; rows: number }
  /** Draws a terminal of a given size as large as the place allows (for watchers). */
  scaleTo: (cols: number, rows: number) => void
  dispose: () => void
}

const DARK: ITheme = {
  background: '#0e1215',
  foreground: '#dce2e7',
  cursor: '#dce2e7',
  selectionBackground: '#3d5666',
}

/**
 * The terminal. The far side is hostile until proven otherwise: links are inert, titles and window commands go
 * nowhere, nothing of it reaches the clipboard (xterm.js has no OSC 52 without its clipboard add-on).
 */
export function makeTerminal(place: HTMLElement): TerminalView {
  const terminal = new Terminal({
    allowProposedApi: true,
    cursorBlink: !window.matchMedia('(prefers-reduced-motion: reduce)').matches,
    fontFamily: "'JetBrains Mono Variable', ui-monospace, monospace",
    fontSize: 14,
    lineHeight: 1.15,
    // The far side picks the colours; grey on black must stay readable (WCAG 1.4.3).
    minimumContrastRatio: 4.5,
    scrollback: 10_000,
    screenReaderMode: false,
    theme: DARK,
    linkHandler: { activate: () => undefined },
    windowOptions: {},
  })
  const fitting = new FitAddon()
  const search = new SearchAddon()
  terminal.loadAddon(fitting)
  terminal.loadAddon(search)
  // Widths as the programs at the far side and the recording's screens have them: an emoji takes two cells.
  terminal.loadAddon(new Unicode11Addon())
  terminal.unicode.activeVersion = '11'
  terminal.open(place)
  terminal.textarea?.setAttribute('aria-label', 'Terminal input')
  return {
    terminal,
    search,
    fit: () => {
      fitting.fit()
      return { cols: terminal.cols, rows: terminal.rows }
    },
    scaleTo: (cols, rows) => {
      terminal.options.fontSize = 14
      terminal.resize(cols, rows)
      const proposed = fitting.proposeDimensions()
      if (!proposed?.cols || !proposed.rows) return
      const share = Math.min(proposed.cols / cols, proposed.rows / rows)
      terminal.options.fontSize = Math.max(3, Math.min(20, Math.floor(14 * share * 2) / 2))
    },
    dispose: () => terminal.dispose(),
  }
}
