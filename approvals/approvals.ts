import type { Timer } from '../broker/domain/clock.ts'
import type { AccessPort } from '../broker/domain/ports.ts'
import { accessPort } from './access-port.ts'
import type { ApprovalsDeps } from './deps.ts'
import { approvalsRoutes } from './routes.ts'
import { DROP_FOLDER_ACTOR, watchDropFolder } from './tickets/drop-folder.ts'
import { receiveTicketFile, signedFileSystem } from './tickets/signed-file.ts'
import { ticketReader } from './tickets/ticket-reader.ts'
import type { TicketSystem } from './tickets/ticket-system.ts'

export interface ApprovalsOptions extends ApprovalsDeps {
  /** Signed ticket files dropped here are taken in; null switches that off. */
  ticketFolder: string | null
  /** Told when a round fails (the database is down, the folder cannot be read). */
  onError: (error: unknown) => void
  /** Further ticket systems, beside signed files. */
  systems?: readonly TicketSystem[]
}

export interface Approvals {
  access: AccessPort
  routes: ReturnType<typeof approvalsRoutes>
  close(): Promise<void>
}

/** Half of the 60 s within which a closed change ends its session; the rest is for the decision and the gateway. */
const TICKETS_EVERY_MS = 30_000

/** Starts the room: routes, the port of the session service, the reading of tickets, the drop folder. */
export async function startApprovals(options: ApprovalsOptions): Promise<Approvals> {
  const { clock, onError } = options
  const access = accessPort(options)
  const tickets = ticketReader(options, [signedFileSystem(options), ...(options.systems ?? [])])
  await access.start()
  const folder =
    options.ticketFolder === null
      ? null
      : watchDropFolder({
          folder: options.ticketFolder,
          clock,
          receive: (jws) =>
            receiveTicketFile(options, jws, {
              siteId: null,
              personId: null,
              actor: DROP_FOLDER_ACTOR,
              source: null,
            }),
          onError,
        })
  let closed = false
  let running: Promise<void> = Promise.resolve()
  let timer: Timer | null = null
  const arm = () => {
    if (closed) return
    timer = clock.after(TICKETS_EVERY_MS, () => {
      running = tickets.round().catch(onError).finally(arm)
    })
  }
  arm()
  return {
    access,
    routes: approvalsRoutes(options, tickets),
    async close() {
      closed = true
      timer?.cancel()
      await folder?.close()
      await running
      await access.close()
    },
  }
}
