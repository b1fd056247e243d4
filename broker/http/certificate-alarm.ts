import type { Logger } from 'pino'
import { clearAlarm, restateAlarm } from '../audit/alarms.ts'
import type { Database } from '../store/sql.ts'
import type { OnRenewal } from './tls.ts'

/** The web server's certificate nears its end, or can't be renewed: an alarm while there is time, and a line in the log. */
export function certificateAlarm(db: Database, logger: Pick<Logger, 'error'>): OnRenewal {
  return async ({ trouble, daysLeft, endsAt }) => {
    if (trouble === null) {
      await clearAlarm(db.sql, 'web-certificate', 'broker', 'The certificate is renewed.')
      return
    }
    logger.error({ trouble, daysLeft }, 'the web certificate is not renewed')
    const left = daysLeft > 0 ? `has ${daysLeft} ${daysLeft === 1 ? 'day' : 'days'} left` : 'is over'
    await restateAlarm(
      db.sql,
      'web-certificate',
      'broker',
      `The web certificate ${left} (to ${new Date(endsAt).toISOString().slice(0, 10)}) and is not renewed (${trouble}). Without a valid one no browser reaches Sallyport.`,
    )
  }
}
