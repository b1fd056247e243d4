import { expect } from 'vitest'
import { Secret } from '../../broker/domain/secret.ts'
import { issueServerCertificate, makeSiteCa, type PemPair } from '../../broker/http/site-ca.ts'
import type { OidcProvider } from '../../broker/identity/oidc.ts'
import type { ApiClient } from '../lab/api-client.ts'
import { LAB_PEOPLE, type LabOidc, type LabPerson, startOidcProvider } from '../lab/oidc-provider.ts'
import { startCluster } from './database.ts'
import { ProviderBrowser, type TestBroker, testBroker, testPlant } from './identity-support.ts'

const SITE = 'Werk Nord'
export const SIGN_IN = '__Host-sallyport-sign-in'

export const mapping: OidcProvider['mapping'] = {
  organisationClaim: 'company',
  organisations: { plant: 'staff', acme: { vendor: 'Acme Robotics' } },
  rolesClaim: 'groups',
  roles: {
    'vendor-engineers': [{ role: 'vendor', site: SITE }],
    'plant-managers': [{ role: 'approver', site: SITE }],
    'control-room': [{ role: 'operator', site: SITE }],
    auditors: [{ role: 'auditor', site: SITE }],
    'ot-administrators': [{ role: 'administrator', site: null }],
  },
}

/** A broker with two identity providers it trusts, one it can't, and the people of all of them. */
export interface OidcHouse {
  broker: TestBroker
  ca: PemPair
  lab: LabOidc
  other: LabOidc
  ada: ApiClient
  /** Our own copy: a test moves somebody to another group. */
  people: LabPerson[]
  /** Begins at the broker, chooses a person at the provider; answers with the path back to the broker. */
  trip(
    client: ApiClient,
    sub: string,
    options?: { provider?: string; search?: string; browser?: ProviderBrowser },
  ): Promise<string>
  signIn(client: ApiClient, sub: string): ReturnType<ApiClient['me']>
  /** The answer that refuses: back to the sign-in page with a code, and no cookie. */
  refusedWith(client: ApiClient, path: string): Promise<string | null>
  close(): Promise<void>
}

export async function startOidcHouse(): Promise<OidcHouse> {
  const cluster = await startCluster()
  const people = LAB_PEOPLE.map((person) => ({ ...person }))
  const ca = await makeSiteCa(['localhost'], Date.now())
  const server = await issueServerCertificate(ca, ['localhost'], Date.now())
  const start = (id: string, tls = server) =>
    startOidcProvider({
      tls,
      clientId: 'sallyport',
      clientSecret: 'lab-secret',
      people,
      redirectUri: `https://plant.example/auth/oidc/${id}/callback`,
    })
  const lab = await start('lab')
  const other = await start('other')
  const foreign = await makeSiteCa(['localhost'], Date.now())
  const untrusted = await start('untrusted', await issueServerCertificate(foreign, ['localhost'], Date.now()))
  const provider = (id: string, issuer: string, trust: string | null): OidcProvider => ({
    id,
    name: `Provider ${id}`,
    issuer,
    clientId: 'sallyport',
    clientSecret: new Secret('lab-secret'),
    mapping,
    ...(trust ? { ca: trust } : {}),
  })
  const broker = await testBroker(cluster, {
    providers: [
      provider('lab', lab.issuer, ca.certificate),
      provider('other', other.issuer, ca.certificate),
      // Right in everything but its certificate: nobody gave its CA.
      provider('untrusted', untrusted.issuer, null),
    ],
    limits: { signIn: { burst: 1000, perSecond: 1000 } },
  })
  const ada = await broker.administrator()
  await testPlant(ada, SITE)
  await ada.call('POST /api/vendors', {
    body: {
      name: 'Acme Robotics',
      contractEndsAt: '2030-01-01T00:00:00.000Z',
      sponsorId: (await ada.me()).person.id,
      tier: '1',
    },
  })

  async function trip(
    client: ApiClient,
    sub: string,
    options: { provider?: string; search?: string; browser?: ProviderBrowser } = {},
  ): Promise<string> {
    const start = await client.fetch(
      'GET',
      `/auth/oidc/${options.provider ?? 'lab'}/start${options.search ?? ''}`,
    )
    expect(start.status).toBe(303)
    const browser = options.browser ?? new ProviderBrowser(ca.certificate)
    const back = new URL(await browser.choose(String(start.headers.location), sub))
    expect(back.origin).toBe('https://plant.example')
    return back.pathname + back.search
  }

  async function signIn(client: ApiClient, sub: string) {
    const answer = await client.fetch('GET', await trip(client, sub))
    expect(answer.headers.location).toBe('/')
    return client.me()
  }

  async function refusedWith(client: ApiClient, path: string): Promise<string | null> {
    const answer = await client.fetch('GET', path)
    expect(answer.status).toBe(303)
    expect(client.cookies.has(SIGN_IN)).toBe(false)
    return new URL(String(answer.headers.location), 'https://plant.example').searchParams.get('problem')
  }

  return {
    broker,
    ca,
    lab,
    other,
    ada,
    people,
    trip,
    signIn,
    refusedWith,
    async close() {
      await broker.close()
      await lab.close()
      await other.close()
      await untrusted.close()
      await cluster.close()
    },
  }
}
