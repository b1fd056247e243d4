import { mkdir, mkdtemp, rm, writeFile } from 'node:fs/promises'
import { tmpdir } from 'node:os'
import path from 'node:path'
import { Secret } from '../../broker/domain/secret.ts'
import type { Criticality } from '../../broker/domain/words.ts'
import { issueServerCertificate, makeSiteCa } from '../../broker/http/site-ca.ts'
import { type Story, startStory, type Target } from '../failures/story.ts'
import { freePort } from '../lab/free-port.ts'
import { type LabOidc, startOidcProvider } from '../lab/oidc-provider.ts'
import { type LabSshd, startOpenssh } from '../lab/openssh.ts'
import { type LabPlant, startPlant } from '../lab/plant.ts'

/** What lies beside the folder of the pages, and must never be served. */
export const BESIDE_THE_PAGES = 'beside-the-pages-and-nobody-elses-business'

const HOST = 'access.plant.example'

/** One running installation that many rows attack: broker, database, gateway, an OpenSSH server, people. */
export interface System {
  plant: LabPlant
  story: Story
  sshd: LabSshd
  /** A C4 asset on the OpenSSH server, for requests that open nothing. */
  robot: Target
  /** A further asset there: one session at a time is all that an endpoint takes. */
  machine(criticality?: Criticality): Promise<Target>
  /** An identity provider of the vendor's company, and the CA (PEM) that it is trusted by. */
  provider: { lab: LabOidc; ca: string }
  stop(): Promise<void>
}

/** A row of the table of threats: registers its tests against the system that runs by then. */
export type Row = (system: () => System) => void

export async function startSystem(): Promise<System> {
  const sshd = await startOpenssh()
  const port = await freePort()
  const ca = await makeSiteCa(['localhost'], Date.now())
  const lab = await startOidcProvider({
    tls: await issueServerCertificate(ca, ['localhost'], Date.now()),
    clientId: 'sallyport',
    clientSecret: 'lab-secret',
    redirectUri: `https://${HOST}:${port}/auth/oidc/lab/callback`,
  })
  const generous = { burst: 100_000, perSecond: 1_000 }
  const folder = await mkdtemp(path.join(tmpdir(), 'sallyport-attacked-'))
  let plant: LabPlant
  try {
    plant = await startPlant({
      port,
      host: HOST,
      providers: [
        {
          id: 'lab',
          name: 'Krantz Robotics',
          issuer: lab.issuer,
          clientId: 'sallyport',
          clientSecret: new Secret('lab-secret'),
          ca: ca.certificate,
          mapping: {
            organisationClaim: 'company',
            organisations: { acme: { vendor: 'Krantz Robotics' } },
            rolesClaim: 'groups',
            roles: { 'vendor-engineers': [{ role: 'vendor', site: 'Body shop Graz' }] },
          },
        },
      ],
      webDir: await pagesWithNeighbour(folder),
      broker: {
        limits: { address: generous, person: generous, signIn: generous, urgent: generous },
      },
    })
  } catch (error) {
    await lab.close()
    await sshd.stop()
    throw error
  }
  const stop = async () => {
    await plant.stop()
    await lab.close()
    await sshd.stop()
    await rm(folder, { recursive: true, force: true })
  }
  try {
    const story = await startStory(plant)
    const robot = await story.asset({ name: 'Robot 4-left', criticality: 'C4', target: sshd })
    let machines = 0
    return {
      plant,
      story,
      sshd,
      robot,
      provider: { lab, ca: ca.certificate },
      machine: (criticality = 'C4') =>
        story.asset({ name: `Machine ${++machines}`, criticality, target: sshd }),
      stop,
    }
  } catch (error) {
    await stop()
    throw error
  }
}

async function pagesWithNeighbour(folder: string): Promise<string> {
  const pages = path.join(folder, 'web')
  await mkdir(path.join(pages, 'assets'), { recursive: true })
  await writeFile(path.join(pages, 'index.html'), '<!doctype html><title>Sallyport</title>')
  await writeFile(path.join(pages, '.hidden'), BESIDE_THE_PAGES)
  await writeFile(path.join(folder, 'secret.txt'), BESIDE_THE_PAGES)
  return pages
}
