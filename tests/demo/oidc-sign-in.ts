import type { ApiClient } from '../lab/api-client.ts'

/**
 * Signs a test client in through the lab's identity provider as a browser would: follows the redirects, clicks the
 * person's button, comes back to the callback. Plain HTTP on localhost only (the demo).
 */
export async function signInWithProvider(client: ApiClient, provider: string, sub: string): Promise<void> {
  const started = await client.fetch('GET', `/auth/oidc/${provider}/start?returnTo=%2F`)
  const cookies = new Map<string, string>()
  let url = location(started.headers.location, client.origin)
  let form: URLSearchParams | null = null
  for (let hop = 0; hop < 12; hop++) {
    if (url.origin === client.origin) {
      const back = await client.fetch('GET', url.pathname + url.search)
      if (back.status >= 400)
        throw new Error(`the callback answered ${back.status}: ${back.raw.toString().slice(0, 300)}`)
      await client.me()
      return
    }
    const answer: Response = await fetch(url, {
      method: form ? 'POST' : 'GET',
      redirect: 'manual',
      headers: { cookie: [...cookies].map(([name, value]) => `${name}=${value}`).join('; ') },
      ...(form ? { body: form } : {}),
    })
    form = null
    for (const line of answer.headers.getSetCookie()) {
      const [pair = ''] = line.split(';')
      const cut = pair.indexOf('=')
      cookies.set(pair.slice(0, cut), pair.slice(cut + 1))
    }
    if (answer.status >= 300 && answer.status < 400) {
      url = location(answer.headers.get('location'), url.href)
      continue
    }
    const page = await answer.text()
    const action = /<form method="post" action="([^"]+)"/.exec(page)?.[1]
    if (!action) throw new Error(`the identity provider answered ${answer.status}: ${page.slice(0, 300)}`)
    url = new URL(action, url)
    form = new URLSearchParams({ person: sub })
  }
  throw new Error('the identity provider sends round in circles')
}

function location(header: string | string[] | null | undefined, base: string): URL {
  const [first] = [header].flat()
  if (!first) throw new Error('a redirect was expected')
  return new URL(first, base)
}
