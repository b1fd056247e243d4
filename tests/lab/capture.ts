import type { CDPSession, Page } from 'playwright-core'

/** One thing that a browser received. */
export interface Received {
  kind: 'http' | 'event' | 'frame'
  /** Address of the request or socket. */
  url: string
  /** Status line, headers and body; a frame's payload. */
  bytes: Buffer
  /** WebSocket frames: the screen is binary, control is text. */
  binary: boolean
}

/**
 * Keeps everything that a page receives from now on, through the debugger: every answer is held until its headers
 * and whole body are kept (so that none is lost to a navigation), every server-sent event, every WebSocket frame and
 * handshake answer. Downloads and the page's own chunks are among them.
 */
export async function captureAll(page: Page): Promise<{ received: Received[]; settled(): Promise<void> }> {
  const received: Received[] = []
  const session: CDPSession = await page.context().newCDPSession(page)
  const urls = new Map<string, string>()
  const pending = new Set<Promise<void>>()
  const keep = (work: Promise<void>) => {
    const done = work.finally(() => pending.delete(done))
    pending.add(done)
  }
  session.on('Fetch.requestPaused', (event) => {
    const { requestId, request, responseStatusCode, responseHeaders = [] } = event
    const head = `${responseStatusCode ?? 0}\n${responseHeaders.map(({ name, value }) => `${name}: ${value}`).join('\n')}\n\n`
    const endless = responseHeaders.some(
      ({ name, value }) => name.toLowerCase() === 'content-type' && value.startsWith('text/event-stream'),
    )
    const redirect = responseStatusCode !== undefined && responseStatusCode >= 300 && responseStatusCode < 400
    keep(
      (async () => {
        let body = Buffer.alloc(0)
        if (!endless && !redirect && responseStatusCode !== undefined) {
          const answer = await session.send('Fetch.getResponseBody', { requestId })
          body = Buffer.from(answer.body, answer.base64Encoded ? 'base64' : 'utf8')
        }
        received.push({
          kind: 'http',
          url: request.url,
          bytes: Buffer.concat([Buffer.from(head), body]),
          binary: false,
        })
        await session.send('Fetch.continueRequest', { requestId })
      })().catch(() => undefined),
    )
  })
  session.on('Network.eventSourceMessageReceived', ({ eventName, data }) => {
    received.push({ kind: 'event', url: eventName, bytes: Buffer.from(data), binary: false })
  })
  session.on('Network.webSocketCreated', ({ requestId, url }) => urls.set(requestId, url))
  session.on('Network.webSocketHandshakeResponseReceived', ({ requestId, response }) => {
    const bytes = Buffer.from(response.headersText ?? JSON.stringify(response.headers))
    received.push({ kind: 'frame', url: urls.get(requestId) ?? '', bytes, binary: false })
  })
  session.on('Network.webSocketFrameReceived', ({ requestId, response }) => {
    const binary = response.opcode === 2
    received.push({
      kind: 'frame',
      url: urls.get(requestId) ?? '',
      bytes: Buffer.from(response.payloadData, binary ? 'base64' : 'utf8'),
      binary,
    })
  })
  await session.send('Network.enable')
  await session.send('Fetch.enable', { patterns: [{ urlPattern: '*', requestStage: 'Response' }] })
  return {
    received,
    async settled() {
      while (pending.size > 0) await Promise.all(pending)
    },
  }
}

/** The forms in which a secret could travel unnoticed. */
export function spellings(secret: string): string[] {
  const bytes = Buffer.from(secret)
  const quoted = JSON.stringify(secret).slice(1, -1)
  // In base64 of a longer text it stands at one of three places in a group; the outermost characters of each also
  // hold its neighbours' bits and are left out.
  const inner = [0, 1, 2].map((before) =>
    Buffer.concat([Buffer.alloc(before), bytes])
      .toString('base64')
      .slice(Math.ceil((before * 8) / 6), Math.floor(((before + bytes.length) * 8) / 6)),
  )
  const urlSafe = inner.map((text) => text.replaceAll('+', '-').replaceAll('/', '_'))
  return [
    ...new Set([secret, quoted, encodeURIComponent(secret), bytes.toString('hex'), ...inner, ...urlSafe]),
  ]
}

/** Which spelling of which secret is in which piece; empty when none is. */
export function findSecrets(pieces: readonly Received[], secrets: Record<string, string>): string[] {
  const found: string[] = []
  for (const [name, secret] of Object.entries(secrets))
    for (const spelling of spellings(secret))
      for (const piece of pieces)
        if (piece.bytes.includes(spelling))
          found.push(`${name} (as ${spelling}) in ${piece.kind} ${piece.url}`)
  return found
}
