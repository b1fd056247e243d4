import type { Query } from '../store/sql.ts'
import { IntegrityError } from './integrity.ts'
import type { Lookup, NodeAt, TreeNode } from './tree.ts'

/** Reads the named nodes in one query by primary key. A missing one means that rows were taken out of the log. */
export async function readNodes(query: Query, wanted: readonly NodeAt[]): Promise<Lookup> {
  const levels = wanted.map((node) => node.level)
  const indexes = wanted.map((node) => node.index)
  const rows =
    wanted.length === 0
      ? []
      : await query<{ level: number; idx: number; hash: Buffer }[]>`
          SELECT n.level::int AS level, n.idx, n.hash
          FROM unnest(${levels}::smallint[], ${indexes}::bigint[]) AS w (level, idx)
          JOIN audit.node n USING (level, idx)`
  const found = new Map(rows.map((row) => [`${row.level}/${row.idx}`, row.hash]))
  return ({ level, index }) => {
    const hash = found.get(`${level}/${index}`)
    if (!hash) {
      throw new IntegrityError(
        'log-tail-missing',
        `node ${level}/${index}`,
        `The audit log is incomplete: tree node ${level}/${index} is missing.`,
      )
    }
    return hash
  }
}

export async function insertNodes(query: Query, nodes: readonly TreeNode[]): Promise<void> {
  const levels = nodes.map((node) => node.level)
  const indexes = nodes.map((node) => node.index)
  const hashes = nodes.map((node) => Buffer.from(node.hash).toString('hex'))
  await query`INSERT INTO audit.node (level, idx, hash)
    SELECT level, idx, decode(hash, 'hex')
    FROM unnest(${levels}::smallint[], ${indexes}::bigint[], ${hashes}::text[]) AS n (level, idx, hash)`
}
