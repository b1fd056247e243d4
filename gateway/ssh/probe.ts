import { Client } from 'ssh2'
import { dial } from '../target/dial.ts'
import { ALGORITHMS } from './algorithms.ts'
import { type SshFailureCode, sshFailure } from './failure.ts'
import { harden } from './hardening.ts'
import { describeHostKey } from './host-key.ts'

/**
 * The host key of an asset, for an administrator to accept. The key exchange is finished (so the server has proven
 * that it holds the private part) and the connection dropped before any user name is sent.
 */
export async function probeSsh(
  address: { host: string; port: number },
  timeoutMs = 10_000,
): Promise<
  { ok: true; identity: { algorithm: string; fingerprint: string } } | { ok: false; code: SshFailureCode }
> {
  const abort = new AbortController()
  const dialled = await dial(address, timeoutMs, abort.signal)
  if (!dialled.ok) return { ok: false, code: dialled.code }
  const { socket } = dialled
  return await new Promise((done) => {
    const client = new Client()
    let seen: { algorithm: string; fingerprint: string } | null = null
    let over = false
    const finish = (code: SshFailureCode | null) => {
      if (over) return
      over = true
      clearTimeout(deadline)
      client.on('error', () => {})
      socket.destroy()
      done(
        !code && seen
          ? { ok: true, identity: seen }
          : { ok: false, code: sshFailure(code ?? 'not-ssh').code },
      )
    }
    const deadline = setTimeout(() => finish('timed-out'), timeoutMs)
    client.on('error', (error) =>
      finish(/no matching/i.test(error.message) ? 'no-common-algorithm' : 'not-ssh'),
    )
    client.on('close', () => finish('not-ssh'))
    client.on('handshake', () => finish(null))
    try {
      client.connect({
        sock: socket,
        username: 'sallyport-probe',
        algorithms: ALGORITHMS,
        hostVerifier: (blob: Buffer) => {
          seen = describeHostKey(blob)
          return true
        },
        authHandler: () => false,
        readyTimeout: 0,
      })
      harden(client, () => {})
    } catch {
      finish('not-ssh')
    }
  })
}
