import type { ApiClient } from './api-client.ts'

/**
 * Reads the notice of a request, as its page does, and gives what the page's button does then: it asks for the session
 * and answers whatever comes.
 */
export async function readNotice(who: ApiClient, requestId: string) {
  const params = { id: requestId }
  const { version } = await who.call('GET /api/requests/:id/notice', { params })
  return () => who.ask('POST /api/requests/:id/session', { params, body: { noticeVersion: version } })
}
