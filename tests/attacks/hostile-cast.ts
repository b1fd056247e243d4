const b64 = (text: string) => Buffer.from(text).toString('base64')

/** What a hostile machine writes to a terminal, to reach past it into whoever shows, records or replays it. */
export const HOSTILE_CAST = [
  // OSC 52: the clipboard, set and asked for.
  `\x1b]52;c;${b64('rm -rf /plant')}\x07`,
  '\x1b]52;c;?\x07',
  // OSC 8: links, one of them a script.
  '\x1b]8;;javascript:window.attacked=1\x1b\\click-the-script\x1b]8;;\x1b\\\r\n',
  '\x1b]8;;https://evil.example/\x1b\\click-the-link\x1b]8;;\x1b\\\r\n',
  // Titles, icon names, working directory, notifications.
  '\x1b]0;window.attacked\x07\x1b]1;attacked\x07\x1b]2;attacked\x1b\\\x1b]7;file://evil.example/\x07',
  '\x1b]9;attacked\x07\x1b]777;notify;attacked;attacked\x07',
  // Files and pictures (iTerm2, sixel, kitty).
  `\x1b]1337;File=inline=1;name=${b64('owned.sh')}:${b64('attacked')}\x07`,
  '\x1bPq#0;2;0;0;0#0~~@@vv@@~~$-\x1b\\',
  `\x1b_Ga=T,f=100;${b64('attacked')}\x1b\\`,
  // Queries that ask a terminal to type something back.
  '\x1b[c\x1b[>c\x1b[=c\x1b[5n\x1b[6n\x1b[?6n\x1b[>q\x1b[14t\x1b[18t\x1b[21t\x1b[20t',
  '\x1bP$q"p\x1b\\\x1bP+q544e\x1b\\\x1b]10;?\x07\x1b]11;?\x07\x1b]4;0;?\x07\x1b[?1$p\x05',
  // Window operations, sizes, resets, modes that catch keys and the mouse.
  '\x1b[8;9999;9999t\x1b[3;0;0t\x1b[2t\x1b[5t\x1b[9;1t\x1b[?1000h\x1b[?1006h\x1b[?2004h\x1b[?1049h\x1b[?1049l',
  // Mark-up, for whoever writes a screen into a page.
  '<img src=x data-attack onerror="window.attacked=1"><script data-attack>window.attacked=1</script>\r\n',
  '</pre></textarea><svg data-attack onload="window.attacked=1">&lt;b data-attack&gt;\r\n',
  // Text that is not what it looks like, and no text at all.
  '\u202egnp.exe\u202c \u0000\u0001\u009b31m \ufeff\ud83d\ude00 \x1b[38;2;999;999;999m\x1b[99999999999;1H\x1b[2147483648C',
  // Numbers and strings without an end, then back to a plain screen.
  `\x1b[${'9;'.repeat(5_000)}m`,
  `\x1b]0;${'a'.repeat(100_000)}\x1b\\\x1bP${'b'.repeat(100_000)}\x1b\\`,
  '\x1b[0m\x1b[2J\x1b[H\r\nEND-OF-CORPUS\r\n',
].join('')
