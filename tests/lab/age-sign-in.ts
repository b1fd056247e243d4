import { join } from 'node:path'
import type { Page } from 'playwright-core'
import type { RunningBroker } from '../../broker/broker.ts'
import { Tokens } from '../../broker/identity/tokens.ts'
import { openKeys } from '../../broker/keys/keys.ts'
import type { LabPlant } from './plant.ts'

/**
 * Makes a browser's strong authentication older, as if a while had passed, with the broker's own key: an edited row
 * alone would end the sign-in (its seal covers the time), and no test waits for minutes.
 */
export async function ageSignIn(plant: LabPlant, page: Page, byMs: number): Promise<void> {
  const cookies = await page.context().cookies(plant.origin)
  const token = cookies.find(({ name }) => name === '__Host-sallyport-sign-in')?.value
  if (!token) throw new Error('this browser is not signed in')
  await ageToken(plant, token, byMs)
}

/** The same by the cookie's value. */
export async function ageToken(
  plant: { dataDir: string; broker: Pick<RunningBroker, 'store'> },
  token: string,
  byMs: number,
): Promise<void> {
  const tokens = new Tokens((await openKeys(join(plant.dataDir, 'broker'), Date.now())).derive('identity'))
  const { sql } = plant.broker.store.db
  const id = tokens.idOf(token)
  const [row] = await sql<
    {
      personId: string
      method: 'passkey' | 'oidc'
      provider: string
      revocationEpoch: number
      createdAt: Date
      authenticatedAt: Date
      expiresAt: Date
    }[]
  >`SELECT person_id AS "personId", method, provider, revocation_epoch AS "revocationEpoch",
      created_at AS "createdAt", authenticated_at AS "authenticatedAt", expires_at AS "expiresAt"
    FROM sign_in WHERE id = ${id}`
  if (!row || id === null) throw new Error('this sign-in is not known')
  const authenticatedAt = new Date(row.authenticatedAt.getTime() - byMs)
  await sql`UPDATE sign_in SET authenticated_at = ${authenticatedAt},
    token_hash = ${tokens.sealSignIn(token, { ...row, id, authenticatedAt })} WHERE id = ${id}`
}
