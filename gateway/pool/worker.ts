import { createPrivateKey } from 'node:crypto'
import { createSecureContext } from 'node:tls'
import { parentPort, workerData } from 'node:worker_threads'
import { systemClock } from '../../broker/domain/clock.ts'
import type { Grant } from '../../broker/domain/grant.ts'
import { Secret } from '../../broker/domain/secret.ts'
import { STREAMS } from '../../broker/domain/words.ts'
import type { AnchorHead } from '../../recordings/format/anchor.ts'
import type { Manifest } from '../../recordings/format/manifest.ts'
import { targetOf } from '../../recordings/format/target.ts'
import type { ClosedRecording } from '../../recordings/recorder/api.ts'
import { openDesktopRecorder } from '../../recordings/recorder/desktop-recorder.ts'
import { openRecorder } from '../../recordings/recorder/recorder.ts'
import { screenModelOver } from '../../recordings/screen-model/port.ts'
import { SAMPLING_MS } from '../desktop/frames.ts'
import { openCredential } from '../edge/credential.ts'
import { dialSplice } from '../edge/dial-splice.ts'
import { InnerServer } from '../edge/inner-server.ts'
import { DesktopMedium } from '../session/desktop-medium.ts'
import type { DesktopSeat } from '../session/desktop-seat.ts'
import { TypingBoard } from '../session/fair-share.ts'
import type { MediumHost, Seat } from '../session/medium.ts'
import type { SessionPorts } from '../session/ports.ts'
import { Session } from '../session/session.ts'
import type { Login } from '../session/source.ts'
import { TerminalMedium } from '../session/terminal-medium.ts'
import type { Viewer } from '../session/viewer.ts'
import { openSsh } from '../ssh/open-ssh.ts'
import { VERSION } from '../version.ts'
import { Desktops } from './desktops.ts'
import { type FromWorker, processMs, type ToWorker, type WorkerStart } from './messages.ts'

/**
 * A session worker: it owns its sessions entirely, from the spliced socket to the asset's. The main thread brings
 * verified tokens and orders, and takes events; no byte of a session passes it.
 */
const CREDENTIAL_WAIT_MS = 10_000

const start = workerData as WorkerStart
const port = parentPort
if (!port) throw new Error('a session worker runs as a worker thread')
const say = (message: FromWorker) => port.postMessage(message)

const clock = systemClock
const seal = new Secret(start.seal)
const signing = { kid: start.sign.kid, key: createPrivateKey({ key: start.sign, format: 'jwk' }) }
const context = createSecureContext({
  key: start.tls.key,
  cert: start.tls.certificate,
  ca: start.tls.ca,
  minVersion: 'TLSv1.3',
})
const screenModel = screenModelOver(start.screenModel)
const typing = new TypingBoard(start.typing, () => Math.floor(processMs() / 1000))
let brokerKeys = new Map(start.brokerKeys)
const desktops = new Desktops(clock)
const sessions = new Map<string, Session<Viewer> | Session<DesktopSeat>>()
const credentials = new Map<number, (jwe: string | null) => void>()
let nextCredential = 0

const edge = new InnerServer({
  authority: () => ({
    brokerKeys,
    gateway: start.gateway,
    deployment: start.deployment,
    site: start.site,
    now: clock.wall(),
  }),
  session: (id) => sessions.get(id) ?? null,
  refused: (session, code) =>
    say({ type: 'event', event: { kind: 'refused-by-gateway', session, code, at: clock.wall() } }),
  heartbeat: start.heartbeat,
})

/** Asks the broker for the grant's credential, once, and opens it. */
async function login(grant: Grant): Promise<Login | null> {
  nextCredential += 1
  const id = nextCredential
  const { promise, resolve } = Promise.withResolvers<string | null>()
  credentials.set(id, resolve)
  const timer = setTimeout(() => resolve(null), CREDENTIAL_WAIT_MS)
  say({ type: 'credential', id, session: grant.session, grant: grant.jti })
  const jwe = await promise
  clearTimeout(timer)
  credentials.delete(id)
  return jwe === null
    ? null
    : await openCredential(jwe, seal, { grant, gateway: start.gateway, now: clock.wall() })
}

type Opening = Extract<ToWorker, { type: 'open' }>

const terminalOf =
  ({ grant, ...rest }: Opening) =>
  (host: MediumHost<Viewer>) =>
    new TerminalMedium(host, {
      typing,
      open: (size, events, signal) =>
        openSsh(
          { address: grant.address, identities: grant.identities, account: grant.account, ...size },
          () => login(grant),
          events,
          signal,
        ),
      record: (target, size) =>
        openRecorder({
          ...recordingOf({ grant, ...rest }),
          target: targetOf(target),
          screenModel,
          size,
        }),
    })

const desktopOf = (message: Opening) => (host: MediumHost<DesktopSeat>) =>
  new DesktopMedium(host, {
    ...desktops.ports(message.grant, () => login(message.grant)),
    record: (target, keyframe) =>
      openDesktopRecorder({
        ...recordingOf(message),
        target: targetOf(target),
        keyframe,
        samplingMs: SAMPLING_MS,
      }),
  })

/** What the recording of any session is opened with. */
const recordingOf = ({ grant, grantHash, clockOffsetMs }: Opening) => ({
  grant,
  grantHash,
  // The grant names the request; the ticket's snapshot stays with the broker.
  ticketHash: null,
  gateway: { id: start.gateway, version: VERSION, bootId: start.bootId, signing },
  spool: start.spool,
  clock,
  clockState: { source: 'system', offsetMs: clockOffsetMs },
})

/** What a session tells of itself, whatever it shows. */
const portsOf = (grant: Grant): Omit<SessionPorts<Seat>, 'medium'> => ({
  clock,
  report: (event) => {
    say({ type: 'event', event })
    if (event.kind === 'session-state') say({ type: 'state', session: grant.session, state: event.state })
    if (event.kind === 'session-live') say({ type: 'state', session: grant.session, state: 'live' })
  },
  closed: (recording, late) => {
    sessions.delete(grant.session)
    const about = { session: grant.session, recording: grant.recording }
    if (!late) say({ type: 'closed', ...about, ...outcomeOf(recording) })
    else {
      say({ type: 'closed', ...about, sealed: 'later', heads: [] })
      void late.then((done) => say({ type: 'sealed', ...about, ...outcomeOf(done) }))
    }
  },
})

function open(message: Opening): string | null {
  const { grant } = message
  if (sessions.has(grant.session)) return 'already-open'
  const session =
    grant.protocol === 'ssh'
      ? new Session<Viewer>(grant, message.lease, { ...portsOf(grant), medium: terminalOf(message) })
      : new Session<DesktopSeat>(grant, message.lease, { ...portsOf(grant), medium: desktopOf(message) })
  sessions.set(grant.session, session)
  return null
}

function outcomeOf(recording: ClosedRecording | null): { sealed: 'yes' | 'no'; heads: AnchorHead[] } {
  return {
    sealed: recording?.stored === true ? 'yes' : 'no',
    heads: recording ? lastHeads(recording.manifest) : [],
  }
}

/** Where each stream of a closed recording ended. */
function lastHeads(manifest: Manifest): AnchorHead[] {
  return STREAMS.flatMap((stream) => {
    const last = manifest.segments.filter((one) => one.stream === stream && one.chunks > 0).at(-1)
    return last
      ? [
          {
            recording: manifest.recording,
            stream,
            segment: last.number,
            seq: last.chunks - 1,
            c: last.last_c,
          },
        ]
      : []
  })
}

async function dial(message: Extract<ToWorker, { type: 'dial' }>): Promise<string | null> {
  if (!sessions.has(message.session)) return 'no-such-session'
  const socket = await dialSplice(message.broker, message.splice, context)
  if (!socket) return 'splice-failed'
  edge.accept(socket, message.session)
  return null
}

port.on('message', (message: ToWorker) => {
  const answer = (id: number, code: string | null, tookMs: number | null = null) =>
    say({ type: 'answer', id, ok: code === null, code, tookMs })
  switch (message.type) {
    case 'open':
      answer(message.id, open(message))
      return
    case 'dial':
      void dial(message).then(
        (code) => answer(message.id, code),
        () => answer(message.id, 'splice-failed'),
      )
      return
    case 'lease': {
      const session = sessions.get(message.session)
      const code = session ? session.renew(message.lease, message.grant, message.grantHash) : null
      if (code && code !== 'session-over')
        say({
          type: 'event',
          event: { kind: 'refused-by-gateway', session: message.session, code, at: clock.wall() },
        })
      return
    }
    case 'command': {
      const session = sessions.get(message.session)
      if (!session) {
        answer(message.id, 'no-such-session')
        return
      }
      const waited = processMs() - message.receivedAt
      const done = session.command({ ...message, receivedAt: clock.monotonic() - waited })
      say({ type: 'answer', id: message.id, ...done })
      return
    }
    case 'credential':
      credentials.get(message.id)?.(message.jwe)
      return
    case 'broker-keys':
      brokerKeys = new Map(message.keys)
      return
    case 'heads':
      say({
        type: 'heads',
        id: message.id,
        heads: [...sessions.values()].flatMap((session) => session.heads()),
      })
      return
    case 'shut-down':
      void Promise.all([...sessions.values()].map((session) => session.gatewayStops()))
        .then(() => desktops.stop())
        .then(() => answer(message.id, null))
  }
})
say({ type: 'ready' })
