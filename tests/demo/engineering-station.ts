import { generateKeyPairSync } from 'node:crypto'
import { once } from 'node:events'
import type { AddressInfo } from 'node:net'
import ssh2, { type ServerChannel } from 'ssh2'

/**
 * An SSH target for the demo that behaves like a robot cell's engineering station: a prompt, files to read, a
 * live monitor that repaints the screen, and a firmware download that nobody would want to see cut in half.
 * It stands in for the plant's machine only; everything between it and the browser is the product.
 */
export interface EngineeringStation {
  port: number
  hostKey: { algorithm: string; fingerprint: string }
  stop(): Promise<void>
}

export async function startEngineeringStation(login: {
  user: string
  password: string
}): Promise<EngineeringStation> {
  const { privateKey } = generateKeyPairSync('rsa', {
    modulusLength: 3072,
    publicKeyEncoding: { type: 'spki', format: 'pem' },
    privateKeyEncoding: { type: 'pkcs1', format: 'pem' },
  })
  const parsed = ssh2.utils.parseKey(privateKey)
  if (parsed instanceof Error) throw parsed
  const fingerprint = await sha256Fingerprint(parsed.getPublicSSH())
  const server = new ssh2.Server({ hostKeys: [privateKey] }, (client) => {
    client.on('error', () => client.end())
    client.on('authentication', (context) => {
      if (
        context.method === 'password' &&
        context.username === login.user &&
        context.password === login.password
      ) {
        context.accept()
      } else {
        context.reject(['password'])
      }
    })
    client.on('session', (accept) => {
      const session = accept()
      let size = { cols: 80, rows: 24 }
      let shell: Shell | null = null
      session.on('pty', (acceptPty, _reject, info) => {
        size = { cols: info.cols, rows: info.rows }
        acceptPty?.()
      })
      session.on('window-change', (acceptChange, _reject, info) => {
        size = { cols: info.cols, rows: info.rows }
        shell?.resize(size)
        acceptChange?.()
      })
      session.on('shell', (acceptShell) => {
        shell = new Shell(acceptShell(), size)
      })
    })
  })
  server.listen(0, '127.0.0.1')
  await once(server, 'listening')
  return {
    port: (server.address() as AddressInfo).port,
    hostKey: { algorithm: 'rsa-sha2-512', fingerprint },
    stop: () => new Promise((done) => server.close(() => done())),
  }
}

async function sha256Fingerprint(blob: Buffer): Promise<string> {
  const digest = await crypto.subtle.digest('SHA-256', new Uint8Array(blob))
  return `SHA256:${Buffer.from(digest).toString('base64').replace(/=+$/, '')}`
}

const FILES: Record<string, string> = {
  'README.txt':
    'Robot cell 4, controller R4-CTRL\nMaintainer: Krantz Robotics GmbH\nDo not change axis limits without a safety check.\n',
  'cell4.cfg':
    'cell      = 4\nrobot     = KR-210\nspeed_max = 65 %\ntool      = gripper-b\nsafety    = plc-s4 (locked)\n',
  'alarms.log':
    '05:12:08  A-201  axis 3 temperature 61 C (limit 70)\n05:40:51  A-117  gripper pressure low, recovered\n06:02:19  I-004  shift change, line in automatic\n',
}

class Shell {
  readonly #channel: ServerChannel
  #size: { cols: number; rows: number }
  #line = ''
  #history: string[] = []
  #busy: (() => void) | null = null
  #firmware = '4.2.1'

  constructor(channel: ServerChannel, size: { cols: number; rows: number }) {
    this.#channel = channel
    this.#size = size
    channel.on('data', (bytes: Buffer) => this.#type(bytes.toString('utf8')))
    channel.on('close', () => this.#busy?.())
    channel.on('error', () => this.#busy?.())
    this.#write(
      '\x1b[1mR4-CTRL  robot cell 4\x1b[0m  engineering station\r\nLine state: \x1b[32mstopped for maintenance\x1b[0m\r\nType \x1b[1mhelp\x1b[0m for the commands.\r\n\r\n',
    )
    this.#prompt()
  }

  resize(size: { cols: number; rows: number }) {
    this.#size = size
  }

  #write(text: string) {
    if (this.#channel.writable) this.#channel.write(text)
  }

  #prompt() {
    this.#write('\x1b[36mservice@r4-ctrl\x1b[0m:~$ ')
  }

  #type(text: string) {
    for (const key of text.replaceAll('\x1b[A', '\x10')) {
      if (this.#busy) {
        if (key === '\x03' || key === 'q') this.#stopBusy('^C')
        continue
      }
      if (key === '\r') {
        this.#write('\r\n')
        const command = this.#line.trim()
        this.#line = ''
        if (command) this.#history.push(command)
        this.#run(command)
      } else if (key === '\x7f' || key === '\b') {
        if (this.#line) this.#write('\b \b')
        this.#line = this.#line.slice(0, -1)
      } else if (key === '\x03') {
        this.#line = ''
        this.#write('^C\r\n')
        this.#prompt()
      } else if (key === '\x04' && !this.#line) {
        this.#channel.exit(0)
        this.#channel.end()
      } else if (key === '\x10') {
        const last = this.#history.at(-1) ?? ''
        this.#write('\b \b'.repeat(this.#line.length) + last)
        this.#line = last
      } else if (key >= ' ' && this.#line.length < 500) {
        this.#line += key
        this.#write(key)
      }
    }
  }

  #run(command: string) {
    const [name = '', ...args] = command.split(/\s+/)
    switch (name) {
      case '':
        break
      case 'help':
        this.#say(
          'status             state of the cell\nls, cat FILE       files on the station\nmonitor            live axis monitor (q leaves)\nfirmware           version and download (firmware load)\nexit               leave',
        )
        break
      case 'status':
        this.#say(
          `robot      KR-210      \x1b[32mready\x1b[0m\nfirmware   ${this.#firmware}\nsafety     plc-s4      \x1b[32mlocked\x1b[0m\ngripper    b           \x1b[33mpressure 5.1 bar\x1b[0m`,
        )
        break
      case 'ls':
        this.#say(Object.keys(FILES).join('   '))
        break
      case 'cat':
        this.#say(FILES[args[0] ?? '']?.trimEnd() ?? `cat: ${args[0] ?? ''}: no such file`)
        break
      case 'monitor':
        this.#monitor()
        return
      case 'firmware':
        if (args[0] === 'load') {
          this.#load()
          return
        }
        this.#say(`installed ${this.#firmware}, available 4.3.0   (firmware load)`)
        break
      case 'exit':
        this.#write('logout\r\n')
        this.#channel.exit(0)
        this.#channel.end()
        return
      default:
        this.#say(`${name}: command not found`)
    }
    this.#prompt()
  }

  #say(text: string) {
    this.#write(`${text.replaceAll('\n', '\r\n')}\r\n`)
  }

  #stopBusy(note: string) {
    this.#busy?.()
    this.#busy = null
    this.#write(`${note}\r\n`)
    this.#prompt()
  }

  #monitor() {
    let tick = 0
    this.#write('\x1b[?1049h\x1b[?25l')
    const paint = () => {
      tick += 1
      const width = Math.max(10, Math.min(40, this.#size.cols - 36))
      let page = `\x1b[H\x1b[1;7m ROBOT CELL 4 - axis monitor ${' '.repeat(Math.max(0, width + 6))}\x1b[0m\x1b[K\r\n\x1b[K\r\n`
      for (let axis = 1; axis <= 6; axis++) {
        const angle = Math.round(90 * Math.sin(tick / (8 + axis) + axis))
        const load = Math.round(45 + 30 * Math.sin(tick / 11 + axis * 2))
        const bar = Math.round((load / 100) * width)
        const colour = load > 70 ? 33 : 32
        page += `  A${axis}  ${String(angle).padStart(4)} deg   load ${String(load).padStart(3)} %  \x1b[${colour}m${'#'.repeat(bar)}\x1b[90m${'.'.repeat(width - bar)}\x1b[0m\x1b[K\r\n`
      }
      page += `\x1b[K\r\n  cycle ${tick}   \x1b[90mq leaves\x1b[0m\x1b[K\x1b[J`
      this.#write(page)
    }
    paint()
    const timer = setInterval(paint, 250)
    this.#busy = () => {
      clearInterval(timer)
      this.#write('\x1b[?25h\x1b[?1049l')
    }
  }

  #load() {
    let percent = 0
    this.#write('Loading firmware 4.3.0 to R4-CTRL. Do not switch off.\r\n')
    const timer = setInterval(() => {
      percent += 2
      const done = Math.floor(percent / 4)
      this.#write(
        `\r[\x1b[36m${'='.repeat(done)}${' '.repeat(25 - done)}\x1b[0m] ${String(percent).padStart(3)} %`,
      )
      if (percent >= 100) {
        this.#firmware = '4.3.0'
        this.#stopBusy('\r\n\x1b[32mFirmware 4.3.0 active.\x1b[0m')
      }
    }, 600)
    this.#busy = () => clearInterval(timer)
  }
}
