import { generateKeyPairSync, randomBytes, randomUUID } from 'node:crypto'
import { createServer as createHttpServer, type IncomingMessage, type ServerResponse } from 'node:http'
import { createServer as createHttpsServer } from 'node:https'
import type { AddressInfo } from 'node:net'
import { exportJWK, importJWK, type JWK, SignJWT } from 'jose'
import { Provider } from 'oidc-provider'
import { memoryAdapter } from './oidc-memory.ts'

/** One of the people that the lab's identity provider knows; a click on the name signs in. */
export interface LabPerson {
  sub: string
  name: string
  email: string
  /** True unless it says otherwise. */
  email_verified?: boolean
  /** Claim `company`: `plant` for the plant's own people, otherwise a word for the vendor. */
  company: string
  /** Claim `groups`. */
  groups: string[]
  /** Shown on the page. */
  title: string
}

export const LAB_PEOPLE: readonly LabPerson[] = [
  person('mara', 'Mara Lindqvist', 'acme', ['vendor-engineers'], 'Vendor engineer, Acme Robotics'),
  person('tomas', 'Tomas Reyes', 'plant', ['plant-managers'], 'Plant manager (approves)'),
  person('ines', 'Ines Okafor', 'plant', ['plant-managers'], 'Shift lead (approves)'),
  person('oleg', 'Oleg Brandt', 'plant', ['control-room'], 'Operator, control room'),
  person('anna', 'Anna Weiss', 'plant', ['auditors'], 'Auditor'),
  person('admin', 'Ada Novak', 'plant', ['ot-administrators'], 'Administrator'),
  person('nobody', 'Nils Ohnerolle', 'plant', [], 'No role here'),
  person('stranger', 'Sam Stranger', 'elsewhere', ['plant-managers'], 'Another company'),
]

function person(sub: string, name: string, company: string, groups: string[], title: string): LabPerson {
  return { sub, name, email: `${sub}@${company}.example`, company, groups, title }
}

export interface LabOidcOptions {
  /** PEM; absent: plain HTTP on localhost, for the demo. */
  tls?: { certificate: string; key: string }
  port?: number
  clientId: string
  clientSecret: string
  redirectUri: string
  people?: readonly LabPerson[]
  /** Asks who it is at every sign-in, as if the browser's session here had ended: for trying people out by turns. */
  forgetful?: boolean
}

export interface LabOidc {
  issuer: string
  /** A logout token as the provider would send it over the back channel; `bend` spoils it for a test. */
  logoutToken(about: { sub?: string; sid?: string }, bend?: Record<string, unknown>): Promise<string>
  close(): Promise<void>
}

/**
 * A real OpenID provider (`oidc-provider`) with a page of our own on which one click on a person signs in. It asks
 * for no password: it is for tests and the demo and listens on the loopback interface only.
 */
export async function startOidcProvider(options: LabOidcOptions): Promise<LabOidc> {
  const people = options.people ?? LAB_PEOPLE
  const { privateKey } = generateKeyPairSync('ec', { namedCurve: 'P-256' })
  const jwk: JWK = { ...(await exportJWK(privateKey)), alg: 'ES256', use: 'sig', kid: 'lab' }
  let handle: (request: IncomingMessage, response: ServerResponse) => void = (_request, response) =>
    response.end()
  const server = options.tls
    ? createHttpsServer({ cert: options.tls.certificate, key: options.tls.key }, (request, response) =>
        handle(request, response),
      )
    : createHttpServer((request, response) => handle(request, response))
  await new Promise<void>((resolve) => server.listen(options.port ?? 0, '127.0.0.1', resolve))
  const { port } = server.address() as AddressInfo
  const issuer = `${options.tls ? 'https' : 'http'}://localhost:${port}`

  const provider = new Provider(issuer, {
    adapter: memoryAdapter(),
    clients: [
      {
        client_id: options.clientId,
        client_secret: options.clientSecret,
        redirect_uris: [options.redirectUri],
        response_types: ['code'],
        grant_types: ['authorization_code'],
        id_token_signed_response_alg: 'ES256',
        backchannel_logout_uri: new URL(options.redirectUri.replace(/callback$/, 'back-channel-logout')).href,
        backchannel_logout_session_required: true,
      },
    ],
    jwks: { keys: [jwk as never] },
    cookies: { keys: [randomBytes(24).toString('hex')] },
    // The broker reads the ID token, as most plants' providers fill it.
    conformIdTokenClaims: false,
    claims: {
      openid: ['sub', 'company', 'groups'],
      profile: ['name'],
      email: ['email', 'email_verified'],
    },
    pkce: { required: () => true },
    features: { devInteractions: { enabled: false }, backchannelLogout: { enabled: true } },
    interactions: { url: (_ctx, interaction) => `/interaction/${interaction.uid}` },
    findAccount: (_ctx, sub) => {
      const found = people.find((candidate) => candidate.sub === sub)
      return found ? { accountId: sub, claims: async () => ({ email_verified: true, ...found }) } : undefined
    },
    // Consent is not what this lab is about: everything the client asks for is granted.
    loadExistingGrant: async (ctx) => {
      const grant = new ctx.oidc.provider.Grant({
        clientId: ctx.oidc.client?.clientId ?? '',
        accountId: ctx.oidc.session?.accountId ?? '',
      })
      grant.addOIDCScope('openid profile email')
      await grant.save()
      return grant
    },
    ttl: { Session: 3600, Interaction: 600, Grant: 3600, IdToken: 600, AccessToken: 600 },
  })
  const callback = provider.callback()
  handle = (request, response) => {
    if (options.forgetful && request.url?.startsWith('/auth?') && request.headers.cookie) {
      request.headers.cookie = request.headers.cookie
        .split('; ')
        .filter((cookie) => !cookie.startsWith('_session'))
        .join('; ')
    }
    if (!request.url?.startsWith('/interaction/')) {
      callback(request, response)
      return
    }
    interact(provider, people, request, response).catch((error: unknown) => {
      response.statusCode = 400
      response.end(String(error))
    })
  }
  return {
    issuer,
    logoutToken: async (about, bend = {}) =>
      new SignJWT({
        events: { 'http://schemas.openid.net/event/backchannel-logout': {} },
        ...(about.sid ? { sid: about.sid } : {}),
        ...(about.sub ? { sub: about.sub } : {}),
        jti: randomUUID(),
        ...bend,
      })
        .setProtectedHeader({ alg: 'ES256', typ: 'logout+jwt', kid: 'lab' })
        .setIssuer((bend.iss as string | undefined) ?? issuer)
        .setAudience((bend.aud as string | undefined) ?? options.clientId)
        .setIssuedAt()
        .sign(await importJWK(jwk, 'ES256')),
    close: () =>
      new Promise((resolve) => {
        server.closeAllConnections()
        server.close(() => resolve())
      }),
  }
}

async function interact(
  provider: Provider,
  people: readonly LabPerson[],
  request: IncomingMessage,
  response: ServerResponse,
): Promise<void> {
  const details = await provider.interactionDetails(request, response)
  if (request.method === 'POST') {
    const body: Buffer[] = []
    for await (const chunk of request) body.push(chunk as Buffer)
    const accountId = new URLSearchParams(Buffer.concat(body).toString()).get('person') ?? ''
    const result = people.some(({ sub }) => sub === accountId)
      ? { login: { accountId } }
      : { error: 'access_denied', error_description: 'nobody was chosen' }
    await provider.interactionFinished(request, response, result, { mergeWithLastSubmission: false })
    return
  }
  response.setHeader('content-type', 'text/html; charset=utf-8')
  response.end(page(details.uid, people))
}

function page(uid: string, people: readonly LabPerson[]): string {
  const buttons = people
    .map(
      ({ sub, name, title }) =>
        `<button name="person" value="${sub}"><strong>${name}</strong><span>${title}</span></button>`,
    )
    .join('\n')
  return `<!doctype html>
<html lang="en">
<meta charset="utf-8">
<meta name="viewport" content="width=device-width, initial-scale=1">
<title>Who are you? · Lab identity provider</title>
<style>
  body { font: 16px/1.5 system-ui, sans-serif; max-width: 26rem; margin: 3rem auto; padding: 0 1rem; background: #f4f5f6; color: #1c1f23 }
  button { display: flex; flex-direction: column; width: 100%; margin: .5rem 0; padding: .7rem 1rem; text-align: left; font: inherit; background: #fff; border: 1px solid #c9ced4; border-radius: 4px; cursor: pointer }
  span, p { color: #5a626b }
</style>
<h1>Who are you?</h1>
<p>This stands for your company's own sign-in. One click, no password: it exists in the lab and the demo only.</p>
<form method="post" action="/interaction/${uid}">
${buttons}
</form>
</html>
`
}
