import { z } from 'zod'
import type { FoundEntry } from '../audit/query.ts'
import { logOrigin } from '../contract/checkpoint.ts'
import type { Database } from '../store/sql.ts'
import type { RootStatement } from './root-statement.ts'
import { canonicalThumbprint } from './thumbprint.ts'

/** keys.json as docs/evidence-format.md section 14 gives it: what an auditor trusts, got by another way. */
export interface AuditorTrust {
  v: 1
  deployment: string
  rp: { id: string; origins: string[] }
  log: { origin: string; keys: Validity<{ x: string }>[] }
  keys: Validity<{ kid: string; use: 'broker' | 'gateway'; gateway: string | null; x: string }>[]
  witnesses: { name: string; x: string }[]
  checkpoints: string[]
}

type Validity<T> = T & { from_index: number; to_index: number | null }

export interface AuditorTrustDeps {
  db: Database
  statement: RootStatement
  audit: { inOrder(filter: { action: string }): AsyncGenerator<FoundEntry> }
  /** WebAuthn relying party of this deployment. */
  rp: { id: string; origins: string[] }
}

const signKey = z.object({ x: z.string().regex(/^[A-Za-z0-9_-]{43}$/) })

/**
 * Builds keys.json. A gateway's key is taken from the log, not from the gateway's row: `gateway.enrolled` names its
 * thumbprint, and it counts from that entry to the gateway's next enrolment with another key, or its revocation.
 */
export async function auditorTrust(deps: AuditorTrustDeps): Promise<AuditorTrust> {
  const { statement, rp } = deps
  const stated = (use: 'log' | 'broker') =>
    statement.keys
      .filter((key) => key.use === use)
      .map((key) => ({ kid: key.kid, x: key.jwk.x, from_index: key.from, to_index: key.until }))
  return {
    v: 1,
    deployment: statement.deployment,
    rp,
    log: {
      origin: logOrigin(statement.deployment, statement.epochs.at(-1)?.epoch ?? 0),
      keys: stated('log').map(({ kid: _, ...key }) => key),
    },
    keys: [
      ...stated('broker').map((key) => ({ ...key, use: 'broker' as const, gateway: null })),
      ...(await gatewayKeys(deps)),
    ],
    witnesses: [],
    checkpoints: [],
  }
}

async function gatewayKeys(deps: AuditorTrustDeps): Promise<AuditorTrust['keys']> {
  const points = await publicKeys(deps.db)
  const found: AuditorTrust['keys'] = []
  // Only these two: anybody may ask for this file, and of other gateway entries there are many.
  const entries: FoundEntry[] = []
  for (const action of ['gateway.enrolled', 'gateway.revoked'])
    for await (const entry of deps.audit.inOrder({ action })) entries.push(entry)
  entries.sort((a, b) => (a.index ?? 0) - (b.index ?? 0))
  for (const { index, entry } of entries) {
    if (index === null || entry.object?.kind !== 'gateway') continue
    const gateway = entry.object.id
    const current = found.find((key) => key.gateway === gateway && key.to_index === null)
    if (entry.action === 'gateway.revoked' && current) current.to_index = index
    if (entry.action !== 'gateway.enrolled') continue
    const kid = String(entry.details.signKey)
    if (current?.kid === kid) continue
    if (current) current.to_index = index
    const x = points.get(kid)
    if (x !== undefined) found.push({ kid, use: 'gateway', gateway, x, from_index: index, to_index: null })
  }
  return found
}

/** Public points by thumbprint. The thumbprint is computed here, so an edited row has another one and is not found. */
async function publicKeys(db: Database): Promise<Map<string, string>> {
  const rows = await db.sql<{ sign_key: unknown }[]>`SELECT sign_key FROM gateway_key LIMIT 10000`
  return new Map(
    rows.flatMap((row) => {
      const key = signKey.safeParse(row.sign_key)
      if (!key.success) return []
      return [[canonicalThumbprint({ kty: 'OKP', crv: 'Ed25519', x: key.data.x }), key.data.x] as const]
    }),
  )
}
