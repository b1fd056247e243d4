import { execFile } from 'node:child_process'
import { mkdtemp, readFile, rm, writeFile } from 'node:fs/promises'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { promisify } from 'node:util'

export interface Capture {
  name: string
  cols: number
  rows: number
  output: Buffer
}

/** Runs argv[3:] on a pty of the given size, sends each line of keys when the program has been quiet, keeps the output. */
const PTY = `
import fcntl, json, os, pty, select, struct, sys, termios, time
rows, cols, keys, out = int(sys.argv[1]), int(sys.argv[2]), json.loads(sys.argv[3]), sys.argv[4]
pid, fd = pty.fork()
if pid == 0:
    time.sleep(0.1)
    os.execvp(sys.argv[5], sys.argv[5:])
fcntl.ioctl(fd, termios.TIOCSWINSZ, struct.pack('HHHH', rows, cols, 0, 0))
data = b''
deadline = time.time() + 40
while time.time() < deadline:
    ready, _, _ = select.select([fd], [], [], 0.2)
    if ready:
        try:
            piece = os.read(fd, 65536)
        except OSError:
            break
        if not piece:
            break
        data += piece
    elif keys:
        os.write(fd, keys.pop(0).encode())
    else:
        break
try:
    os.kill(pid, 9)
except OSError:
    pass
os.waitpid(pid, 0)
open(out, 'wb').write(data)
`

const UP = '\x1b[A'
const DOWN = '\x1b[B'

const PROGRAMS: Record<string, { command: (folder: string) => string[]; keys: string[] }> = {
  vim: {
    command: (folder) => [
      'vim',
      '-u',
      'NONE',
      '-N',
      '--cmd',
      'set t_Co=256 mouse=a | syntax on',
      join(folder, 'text.c'),
    ],
    keys: [
      ':set number hlsearch\r',
      ':split\r',
      '/line\r',
      'nnn',
      'ccnew é世界 text\x1b',
      ':vsplit\r',
      '\x17w',
      'G',
      '10k',
      'dd',
      'p',
      '5ihello \x1b',
      'u',
      ':%s/int/long/g\r',
      '\x02\x02',
      'zz',
      ':q\r',
      '\x06',
      ':help\r',
      '\x04\x04',
      ':q\r',
    ],
  },
  tmux: {
    command: (folder) => ['tmux', '-f', '/dev/null', '-S', join(folder, 'tmux.sock'), 'new-session', 'sh'],
    keys: [
      'PS1="$ "; clear; ls -la --color=always /\r',
      '\x02"',
      'seq 1 60\r',
      '\x02%',
      'printf "\\033[31mred\\033[m \\033(0lqqk\\033(B\\n"\r',
      '\x02o',
      'echo é世界🙂\r',
      '\x02[',
      '\x1b[5~',
      'q',
      '\x02c',
      'cat /etc/passwd\r',
      '\x02p',
      '\x02z',
      'printf "\\033[2;5r\\033[5;1Ha\\nb\\nc\\033[r"\r',
      '\x02z',
      '\x02t',
      'q',
    ],
  },
  less: {
    command: (folder) => ['less', '-R', '-S', join(folder, 'long.txt')],
    keys: [
      ' ',
      ' ',
      'b',
      '/line 7\r',
      'n',
      'n',
      'N',
      'G',
      'g',
      '\x1b[C',
      '\x1b[C',
      '\x1b[D',
      'j',
      'j',
      'k',
      'y',
      'u',
      'h',
      'q',
      '&3\r',
      '50p',
      'q',
    ],
  },
  mc: {
    command: (folder) => ['mc', '-u', '-x', folder, '/'],
    keys: [
      DOWN,
      DOWN,
      DOWN,
      UP,
      '\t',
      DOWN,
      DOWN,
      '\x1b3',
      '\x1b3',
      '\x1b9',
      DOWN,
      DOWN,
      '\x1b\x1b',
      '\x0f',
      'echo hi\r',
      '\x0f',
      '\x1b2',
      '\x1b\x1b',
      '\t',
      '\x1b7',
      'newfolder',
      '\x1b\x1b',
      '\x1b0',
      '\r',
    ],
  },
}

/** What real programs send, on this machine, now. */
export async function captureAll(): Promise<Capture[]> {
  const folder = await mkdtemp(join(tmpdir(), 'sallyport-captures-'))
  try {
    const code = Array.from(
      { length: 120 },
      (_, n) => `int line_${n}(char *s) { return ${n} * sizeof("text é"); } /* ${n} */\n`,
    )
    await writeFile(join(folder, 'text.c'), code.join(''))
    const long = Array.from(
      { length: 300 },
      (_, n) => `\x1b[3${n % 8}mline ${n}\x1b[m ${'wide 世界 text '.repeat(n % 12)}\n`,
    )
    await writeFile(join(folder, 'long.txt'), long.join(''))
    return await Promise.all(Object.keys(PROGRAMS).map((name) => capture(name, folder)))
  } finally {
    await rm(folder, { recursive: true, force: true })
  }
}

async function capture(name: string, folder: string): Promise<Capture> {
  const program = PROGRAMS[name]
  if (!program) throw new Error(`no such capture: ${name}`)
  const [cols, rows] = name === 'vim' ? [100, 30] : [80, 24]
  const out = join(folder, `${name}.out`)
  const env = {
    PATH: process.env.PATH ?? '/usr/bin:/bin',
    TERM: 'xterm-256color',
    LANG: 'C.UTF-8',
    LC_ALL: 'C.UTF-8',
    HOME: folder,
    SHELL: '/bin/sh',
  }
  const args = [
    '-c',
    PTY,
    String(rows),
    String(cols),
    JSON.stringify(program.keys),
    out,
    ...program.command(folder),
  ]
  await promisify(execFile)('python3', args, { env, cwd: folder })
  if (name === 'tmux') {
    await promisify(execFile)('tmux', ['-S', join(folder, 'tmux.sock'), 'kill-server'], { env }).catch(
      () => {},
    )
  }
  return { name, cols, rows, output: await readFile(out) }
}
