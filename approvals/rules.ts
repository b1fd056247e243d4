import { Failure } from '../broker/domain/failure.ts'
import { newId } from '../broker/domain/ids.ts'
import type { Principal } from '../broker/domain/principal.ts'
import { CRITICALITIES, type Criticality, type Role } from '../broker/domain/words.ts'
import type { Query } from '../broker/store/sql.ts'
import { type ApprovalsDeps, actorOf, announce, signInOf } from './deps.ts'
import { defaultRule, ruleName } from './ground.ts'
import { type RuleRow, ruleState } from './rows.ts'

export interface RuleView {
  id: string
  siteId: string
  criticality: Criticality
  count: number
  roles: Role[]
}

/** The rules in force at these sites: what an administrator set, and the default where none was set. */
export async function listRules(query: Query, siteIds: readonly string[] | 'all'): Promise<RuleView[]> {
  const sites = await query<{ id: string }[]>`
    SELECT id FROM site ${siteIds === 'all' ? query`` : query`WHERE id = ANY(${[...siteIds]}::uuid[])`} ORDER BY name`
  const rows = await query<RuleRow[]>`SELECT * FROM approval_rule`
  return sites.flatMap(({ id: siteId }) =>
    CRITICALITIES.map((criticality) => {
      const row = rows.find((each) => each.site_id === siteId && each.criticality === criticality)
      const { need, roles } = row ?? defaultRule(criticality)
      return { id: row?.id ?? siteId, siteId, criticality, count: need, roles: roles as Role[] }
    }),
  )
}

/** Sets a rule. Requests that were approved under another one need approvals anew: the rule is part of what was signed. */
export async function setRule(
  deps: ApprovalsDeps,
  principal: Principal,
  site: string,
  criticality: Criticality,
  rule: { count: number; roles: Role[]; reason: string },
  source: string,
): Promise<void> {
  if (criticality === 'C1' && rule.count < 2)
    throw new Failure(
      422,
      'safety-needs-two',
      'A C1 asset needs two people.',
      'Ask for at least two approvals.',
    )
  const unfit = rule.roles.filter((role) => role !== 'approver' && role !== 'operator')
  if (unfit.length > 0)
    throw new Failure(
      422,
      'role-cannot-approve',
      `These roles do not approve: ${unfit.join(', ')}.`,
      'Choose approver, operator, or both.',
    )
  await deps.db.tx(async (tx) => {
    const [before] = await tx<RuleRow[]>`
      SELECT * FROM approval_rule WHERE site_id = ${site} AND criticality = ${criticality} FOR UPDATE`
    const roles = [...new Set(rule.roles)].sort()
    const [after] = await tx<RuleRow[]>`
      INSERT INTO approval_rule (id, site_id, criticality, need, roles)
      VALUES (${newId(deps.clock.wall())}, ${site}, ${criticality}, ${rule.count}, ${tx.json(roles)})
      ON CONFLICT (site_id, criticality) DO UPDATE SET need = EXCLUDED.need, roles = EXCLUDED.roles
      RETURNING *`
    if (!after) throw new Error('the rule was not written')
    await deps.audit.record(tx, {
      action: 'approval-rule.set',
      actor: actorOf(principal, null),
      authentication: signInOf(principal),
      source,
      object: ruleName(site, criticality),
      before: before ? ruleState(before) : null,
      after: ruleState(after),
      reason: rule.reason,
      details: { need: after.need, roles },
    })
    const touched = await tx<{ id: string }[]>`
      SELECT r.id FROM access_request r JOIN asset a ON a.id = r.asset_id
      WHERE r.site_id = ${site} AND a.criticality = ${criticality} AND r.state IN ('waiting', 'approved')
        AND r.closes_at > ${new Date(deps.clock.wall())}`
    await announce(
      tx,
      touched.map((row) => row.id),
    )
  })
}
