import type { Query } from '../store/sql.ts'
import { readNodes } from './nodes.ts'
import { consistencyPlan, inclusionPlan, type ProofPlan } from './tree.ts'

export interface InclusionProof {
  index: number
  size: number
  /** From the leaf upwards, as RFC 6962 section 2.1.1 orders it. */
  path: Buffer[]
}

export interface ConsistencyProof {
  oldSize: number
  newSize: number
  path: Buffer[]
}

export async function inclusionProof(query: Query, index: number, size: number): Promise<InclusionProof> {
  return { index, size, path: await carryOut(query, inclusionPlan(index, size)) }
}

export async function consistencyProof(
  query: Query,
  oldSize: number,
  newSize: number,
): Promise<ConsistencyProof> {
  return { oldSize, newSize, path: await carryOut(query, consistencyPlan(oldSize, newSize)) }
}

async function carryOut(query: Query, plan: ProofPlan): Promise<Buffer[]> {
  return plan.path(await readNodes(query, plan.needs))
}
