import { spawnSync } from 'node:child_process'
import { existsSync } from 'node:fs'

/**
 * Real counterparts come from Debian packages. SALLYPORT_LAB says what to do when one is missing:
 *   required  install it, and fail when that is impossible (CI)
 *   auto      install it when this process may (root, apt), else skip its tests and name them (the default)
 *   off       never install anything; skip
 */
export type LabMode = 'required' | 'auto' | 'off'

export function labMode(): LabMode {
  const mode = process.env.SALLYPORT_LAB ?? 'auto'
  if (mode !== 'required' && mode !== 'auto' && mode !== 'off') {
    throw new Error(`SALLYPORT_LAB is "${mode}"; it may be required, auto or off`)
  }
  return mode
}

interface Tool {
  /** A file that is there when the package is. */
  file: string
  packages: string[]
  /** Only a peer of the benches; no test needs it. */
  forBench?: true
}

const TOOLS = {
  openssh: { file: '/usr/sbin/sshd', packages: ['openssh-server', 'openssh-client'] },
  chromium: { file: '/usr/bin/chromium', packages: ['chromium', 'fonts-dejavu-core'] },
  'nss-tools': { file: '/usr/bin/certutil', packages: ['libnss3-tools'] },
  tmux: { file: '/usr/bin/tmux', packages: ['tmux'] },
  vim: { file: '/usr/bin/vim', packages: ['vim'] },
  less: { file: '/usr/bin/less', packages: ['less'] },
  mc: { file: '/usr/bin/mc', packages: ['mc'] },
  iproute: { file: '/usr/sbin/ip', packages: ['iproute2'] },
  tcpdump: { file: '/usr/bin/tcpdump', packages: ['tcpdump'] },
  tigervnc: {
    file: '/usr/bin/Xtigervnc',
    packages: ['tigervnc-standalone-server', 'tigervnc-tools', 'xauth'],
  },
  x11vnc: { file: '/usr/bin/x11vnc', packages: ['x11vnc', 'xvfb'] },
  'x11-apps': { file: '/usr/bin/xwd', packages: ['x11-apps'] },
  xdotool: { file: '/usr/bin/xdotool', packages: ['xdotool'] },
  xclip: { file: '/usr/bin/xclip', packages: ['xclip'] },
  xterm: { file: '/usr/bin/xterm', packages: ['xterm'] },
  xsetroot: { file: '/usr/bin/xsetroot', packages: ['x11-xserver-utils'] },
  openssl: { file: '/usr/bin/openssl', packages: ['openssl'] },
  xauth: { file: '/usr/bin/xauth', packages: ['xauth'] },
  xvfb: { file: '/usr/bin/Xvfb', packages: ['xvfb'] },
  openbox: { file: '/usr/bin/openbox', packages: ['openbox'] },
  xrdp: { file: '/usr/sbin/xrdp', packages: ['xrdp'] },
  xorgxrdp: { file: '/usr/lib/xorg/modules/drivers/xrdpdev_drv.so', packages: ['xorgxrdp'] },
  'freerdp-shadow': {
    file: '/usr/bin/freerdp-shadow-cli',
    packages: ['freerdp2-shadow-x11', 'winpr-utils'],
  },
  'freerdp-client': { file: '/usr/bin/xfreerdp', packages: ['freerdp2-x11'] },
  websockify: { file: '/usr/bin/websockify', packages: ['websockify'], forBench: true },
  debootstrap: { file: '/usr/sbin/debootstrap', packages: ['debootstrap'], forBench: true },
  'python-cryptography': {
    file: '/usr/lib/python3/dist-packages/cryptography/__init__.py',
    packages: ['python3', 'python3-cryptography'],
  },
} satisfies Record<string, Tool>
export type ToolName = keyof typeof TOOLS

const tool = (name: ToolName): Tool => TOOLS[name]
const present = (name: ToolName) => existsSync(TOOLS[name].file)

/** The names of tools that are not there, so that their tests are skipped by name. Throws when they are required. */
export function missingTools(...names: ToolName[]): ToolName[] {
  const missing = names.filter((name) => !present(name))
  if (missing.length > 0 && labMode() === 'required') {
    throw new Error(`the lab is required, but these are missing: ${missing.join(', ')}`)
  }
  return missing
}

/** The Debian packages of tools that are not there, whatever the mode. */
export function missingPackages(...names: ToolName[]): string[] {
  return [...new Set(names.filter((name) => !present(name)).flatMap((name) => TOOLS[name].packages))]
}

/**
 * Installs what is missing, as the mode allows; with `forBench` also the benches' peers. Returns a line for each tool that
 * stays missing.
 */
export function installLab({ forBench = false } = {}): string[] {
  const mode = labMode()
  const wanted = (Object.keys(TOOLS) as ToolName[]).filter((name) => forBench || !tool(name).forBench)
  const missing = wanted.filter((name) => !present(name))
  if (missing.length === 0) return []
  const may = mode !== 'off' && process.getuid?.() === 0 && existsSync('/usr/bin/apt-get')
  if (may) {
    const packages = [...new Set(missing.flatMap((name) => TOOLS[name].packages))]
    console.log(`· installing for the lab: ${packages.join(' ')}`)
    const env = { ...process.env, DEBIAN_FRONTEND: 'noninteractive', RUNLEVEL: '1' }
    spawnSync('apt-get', ['update', '-qq'], { env, stdio: 'ignore' })
    spawnSync('apt-get', ['install', '-y', '-qq', '--no-install-recommends', ...packages], {
      env,
      stdio: 'ignore',
    })
  }
  const still = missing.filter((name) => !present(name))
  if (still.length > 0 && mode === 'required') {
    throw new Error(`the lab is required, but these could not be installed: ${still.join(', ')}`)
  }
  return still.map((name) => `${name} (Debian: ${TOOLS[name].packages.join(' ')})`)
}
