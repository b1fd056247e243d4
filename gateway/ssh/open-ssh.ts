import { timingSafeEqual } from 'node:crypto'
import type { Socket } from 'node:net'
import { type AnyAuthMethod, Client, type ClientChannel, type NegotiatedAlgorithms } from 'ssh2'
import type { PinnedIdentity } from '../../broker/domain/grant.ts'
import type { Login, SourceEvents, TerminalSource } from '../session/source.ts'
import { dial } from '../target/dial.ts'
import { ALGORITHMS, hostKeyAlgorithmsFor, openToTerrapin } from './algorithms.ts'
import { unpackCipherKeys } from './cipher-keys.ts'
import { type SshFailure, type SshFailureCode, sshFailure } from './failure.ts'
import { harden, noSha1Signatures, strictKeyExchange } from './hardening.ts'
import { describeHostKey } from './host-key.ts'
import { passwordAnswers } from './keyboard-interactive.ts'
import { terminalSource } from './terminal-source.ts'

export interface SshTarget {
  /** From the grant, nowhere else. */
  address: { host: string; port: number }
  identities: readonly PinnedIdentity[]
  account: string
  cols: number
  rows: number
}

export interface SshOptions {
  connectTimeoutMs: number
  /** From the TCP connection to the shell. */
  handshakeTimeoutMs: number
  keepaliveMs: number
}

export const SSH_TIMES: SshOptions = {
  connectTimeoutMs: 10_000,
  handshakeTimeoutMs: 20_000,
  keepaliveMs: 5_000,
}

export interface OpenedSsh {
  source: TerminalSource
  identity: { algorithm: string; fingerprint: string }
  algorithms: Record<string, string>
}

/**
 * Opens a shell with a pty and nothing else. Order matters: TCP, host key checked against the grant, cipher checked,
 * and only then is `login` called, which fetches the credential; a host that is not the pinned one never causes it to
 * leave the broker's vault. The credential is wiped from our buffers when the log-in is decided.
 */
export async function openSsh(
  target: SshTarget,
  login: () => Promise<Login | null>,
  events: SourceEvents,
  signal: AbortSignal,
  times: SshOptions = SSH_TIMES,
): Promise<{ ok: true; opened: OpenedSsh } | { ok: false; failure: SshFailure }> {
  const dialled = await dial(target.address, times.connectTimeoutMs, signal)
  if (!dialled.ok) return { ok: false, failure: sshFailure(dialled.code) }
  return await new Promise((done) =>
    new Opening(dialled.socket, target, login, events, signal, times, done).run(),
  )
}

type Answer = { ok: true; opened: OpenedSsh } | { ok: false; failure: SshFailure }

class Opening {
  readonly client = new Client()
  readonly #socket: Socket
  readonly #target: SshTarget
  readonly #login: () => Promise<Login | null>
  readonly #events: SourceEvents
  readonly #signal: AbortSignal
  readonly #times: SshOptions
  readonly #done: (answer: Answer) => void
  #settled = false
  #identity: { algorithm: string; fingerprint: string } | null = null
  /** Another key than a pinned one, shown at a later key exchange. */
  #changed: { algorithm: string; fingerprint: string } | null = null
  #algorithms: Record<string, string> = {}
  #tried = false
  #wipe: () => void = () => {}
  #deadline: NodeJS.Timeout | null = null

  constructor(
    socket: Socket,
    target: SshTarget,
    login: () => Promise<Login | null>,
    events: SourceEvents,
    signal: AbortSignal,
    times: SshOptions,
    done: (answer: Answer) => void,
  ) {
    this.#socket = socket
    this.#target = target
    this.#login = login
    this.#events = events
    this.#signal = signal
    this.#times = times
    this.#done = done
  }

  run(): void {
    if (this.#signal.aborted) {
      this.#fail('cancelled')
      return
    }
    this.#signal.addEventListener('abort', this.#cancel, { once: true })
    this.#deadline = setTimeout(() => this.#fail('timed-out'), this.#times.handshakeTimeoutMs)
    this.client.on('error', (error) => this.#fail(codeOf(error, this.#tried)))
    this.client.on('close', () => this.#fail(this.#tried ? 'asset-lost' : 'not-ssh'))
    this.client.on('handshake', (negotiated) => this.#handshake(negotiated))
    this.client.on('ready', () => this.#shell())
    try {
      this.client.connect({
        sock: this.#socket,
        username: this.#target.account,
        algorithms: {
          ...ALGORITHMS,
          serverHostKey: hostKeyAlgorithmsFor(this.#target.identities.map((identity) => identity.algorithm)),
        },
        // Without a verifier ssh2 takes any key.
        hostVerifier: (blob: Buffer) => this.#isPinned(blob),
        authHandler: (left, partial, next) => {
          // ssh2 takes false for "no further method" and null before the first; its types say neither.
          this.#authenticate(left, partial, next as (method: AnyAuthMethod | false) => void)
        },
        readyTimeout: 0,
        keepaliveInterval: this.#times.keepaliveMs,
        keepaliveCountMax: 3,
      })
      harden(this.client, (channel) => this.#events.channelRefused(channel))
    } catch {
      this.#fail('not-ssh')
    }
  }

  readonly #cancel = () => this.#fail('cancelled')

  #settle(answer: Answer): boolean {
    if (this.#settled) return false
    this.#settled = true
    this.#wipe()
    if (this.#deadline) clearTimeout(this.#deadline)
    this.#signal.removeEventListener('abort', this.#cancel)
    if (!answer.ok) {
      this.client.on('error', () => {})
      this.#socket.destroy()
    }
    this.#done(answer)
    return true
  }

  #fail(code: SshFailureCode, seen?: SshFailure['seen']): void {
    this.#settle({ ok: false, failure: sshFailure(code, seen) })
  }

  /**
   * Asked at every key exchange (RFC 4253 section 9), so also in the middle of a session; on false ssh2 disconnects,
   * which the source then tells as a changed identity.
   */
  #isPinned(blob: Buffer): boolean {
    const seen = describeHostKey(blob)
    const pinned = this.#target.identities.some((identity) => same(identity.fingerprint, seen.fingerprint))
    if (pinned) this.#identity = seen
    else {
      this.#changed = seen
      this.#fail('identity-changed', seen)
    }
    return pinned
  }

  #handshake(negotiated: NegotiatedAlgorithms): void {
    const { cipher, mac } = negotiated.sc
    const strict = strictKeyExchange(this.client)
    if (
      openToTerrapin(cipher, mac, strict) ||
      openToTerrapin(negotiated.cs.cipher, negotiated.cs.mac, strict)
    ) {
      this.#fail('weak-handshake')
      return
    }
    noSha1Signatures(this.client)
    unpackCipherKeys(this.client)
    this.#algorithms = {
      kex: negotiated.kex,
      hostKey: negotiated.serverHostKey,
      cipherIn: cipher,
      cipherOut: negotiated.cs.cipher,
      // An AEAD cipher brings its own integrity.
      mac: mac === '' ? 'implicit' : mac,
      strictKex: strict ? 'yes' : 'no',
    }
  }

  /**
   * `none` first, to hear what the server wants; then one attempt with the one credential. A second way with the same
   * wrong password would only count twice towards a lock-out.
   */
  #authenticate(
    left: readonly string[] | null,
    partial: boolean | null,
    next: (method: AnyAuthMethod | false) => void,
  ): void {
    const account = this.#target.account
    if (this.#settled || !this.#identity) {
      next(false)
      return
    }
    if (left === null) {
      next({ type: 'none', username: account })
      return
    }
    if (this.#tried || partial) {
      next(false)
      return
    }
    this.#tried = true
    this.#login().then(
      (login) => {
        if (this.#settled) {
          wipe(login)
          return
        }
        if (!login) {
          this.#fail('credential-refused')
          return
        }
        // A credential for another account is never tried: the account in the grant was approved.
        if (login.account !== account) {
          wipe(login)
          this.#fail('credential-refused')
          return
        }
        this.#wipe = () => wipe(login)
        const method = methodFor(login, left, () => this.#fail('wrong-credential'))
        if (!method) {
          this.#fail('wrong-credential')
          return
        }
        try {
          next(method)
        } catch {
          this.#fail('credential-unusable')
        }
      },
      () => this.#fail('credential-refused'),
    )
  }

  #shell(): void {
    // A server that lets anybody in without a credential is not the asset as it was approved; ssh2 would go on.
    if (!this.#tried) {
      this.#fail('wrong-credential')
      return
    }
    this.#wipe()
    const { cols, rows } = this.#target
    this.client.shell({ term: 'xterm-256color', cols, rows, width: 0, height: 0 }, (error, channel) => {
      if (error) {
        this.#fail('shell-refused')
        return
      }
      this.#opened(channel)
    })
  }

  #opened(channel: ClientChannel): void {
    const identity = this.#identity
    if (this.#settled || !identity) {
      this.#socket.destroy()
      return
    }
    this.client.removeAllListeners('error')
    this.client.removeAllListeners('close')
    const source = terminalSource(this.client, this.#socket, channel, {
      ...this.#events,
      closed: (code) =>
        this.#changed ? this.#events.closed('identity-changed', this.#changed) : this.#events.closed(code),
    })
    this.#settle({ ok: true, opened: { source, identity, algorithms: this.#algorithms } })
  }
}

function methodFor(login: Login, left: readonly string[], giveUp: () => void): AnyAuthMethod | null {
  const username = login.account
  if (login.kind === 'private-key') {
    if (!left.includes('publickey')) return null
    const passphrase = login.passphrase?.reveal()
    return {
      type: 'publickey',
      username,
      key: login.privateKey.reveal(),
      ...(passphrase ? { passphrase } : {}),
    }
  }
  const password = login.password.reveal()
  // ssh2 takes the bytes as they are; its type knows only strings.
  if (left.includes('password'))
    return { type: 'password', username, password: password as unknown as string }
  if (left.includes('keyboard-interactive'))
    return { type: 'keyboard-interactive', username, prompt: passwordAnswers(login.password, giveUp) }
  return null
}

function wipe(login: Login | null): void {
  if (!login) return
  if (login.kind === 'password') login.password.reveal().fill(0)
  else {
    login.privateKey.reveal().fill(0)
    login.passphrase?.reveal().fill(0)
  }
}

function same(a: string, b: string): boolean {
  const left = Buffer.from(a)
  const right = Buffer.from(b)
  return left.length === right.length && timingSafeEqual(left, right)
}

/** ssh2 names the level an error came from; its texts are only used to tell an old server from a broken one. */
function codeOf(error: Error & { level?: string }, tried: boolean): SshFailureCode {
  switch (error.level) {
    case 'client-authentication':
      return tried ? 'wrong-credential' : 'not-ssh'
    case 'client-timeout':
      return 'timed-out'
    case 'client-socket':
      return 'asset-lost'
    case 'handshake':
      return /no matching/i.test(error.message) ? 'no-common-algorithm' : 'not-ssh'
    default:
      return tried ? 'asset-lost' : 'not-ssh'
  }
}
