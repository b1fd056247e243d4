import { execFile, spawn } from 'node:child_process'
import { randomBytes } from 'node:crypto'
import { promisify } from 'node:util'

const run = promisify(execFile)

export interface ThrowAwayUser {
  name: string
  password: string
}

/** A Linux user with a password and a new home folder. `removeUser` takes it away again; the folder stays. */
export async function addUser(home: string): Promise<ThrowAwayUser> {
  const name = `sp${randomBytes(5).toString('hex')}`
  const password = randomBytes(12).toString('base64url')
  await run('/usr/sbin/useradd', ['--create-home', '--home-dir', home, '--shell', '/bin/bash', name])
  const child = spawn('/usr/sbin/chpasswd', [], { stdio: ['pipe', 'ignore', 'ignore'] })
  child.stdin.end(`${name}:${password}\n`)
  const code = await new Promise((done) => child.once('exit', done))
  if (code !== 0) {
    await removeUser(name)
    throw new Error(`chpasswd exited with ${String(code)}`)
  }
  return { name, password }
}

export async function removeUser(name: string): Promise<void> {
  // Processes of the user hold it for an instant after they were killed.
  for (let attempt = 0; attempt < 20; attempt++) {
    try {
      await run('/usr/sbin/userdel', ['--force', name])
      return
    } catch {
      await new Promise((done) => setTimeout(done, 50))
    }
  }
}
