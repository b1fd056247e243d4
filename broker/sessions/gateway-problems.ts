import { openAlarm } from '../audit/alarms.ts'
import type { GatewayEvent } from '../contract/link.ts'
import type { GatewayProblem } from '../domain/words.ts'
import type { GatewayRow } from '../link/gateway-rows.ts'
import type { Tx } from '../store/sql.ts'

/** What is wrong, and what to do, after the gateway's name. */
const WORDS: Record<GatewayProblem, string> = {
  'journal-damaged':
    'found lines of its event journal altered or missing: what they told is not in the audit log. Find out who had access to its data folder, and compare with the recordings of that time.',
  'worker-lost':
    'cannot start a session thread again, so it carries fewer sessions. Restart the gateway, and read its log for the cause.',
  'recording-unreadable':
    'cannot read a recording in its spool to finish it. Keep the folder as it is, and look at the disk and its permissions; the next start tries again.',
  'recording-not-sealed':
    'could not finish a recording in time. Look at its disk: the recording is finished when the disk answers, or recovered at the next start.',
  'recording-not-delivered':
    'cannot deliver a finished recording. It stays in the spool; the reason says whether disk or broker refuses it.',
}

/**
 * A gateway's word that somebody must look at it: an alarm of the session or of the gateway, open until it is
 * acknowledged.
 */
export async function openProblem(
  tx: Tx,
  gateway: GatewayRow,
  event: GatewayEvent & { kind: 'gateway-problem' },
): Promise<void> {
  const subject = event.session === null ? `gateway ${gateway.id}` : `session ${event.session}`
  await openAlarm(
    tx,
    event.code,
    subject,
    `${gateway.name} ${WORDS[event.code]} (${event.detail})`.slice(0, 1000),
  )
}
