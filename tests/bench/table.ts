/** One line of a bench's table: our figure, the peer's, and their ratio; or one figure with a goal of its own. */
export interface Row {
  what: string
  /** A gate must be reached; the others are reported. */
  gate: boolean
  ours: string
  beside: string
  /** What is held against the limit; NaN where a peer is missing, which reaches nothing. */
  ratio: number
  goal: '<=' | '>='
  limit: number
  /** Of ratio and limit where the goal is absolute; `x` without. */
  unit?: string
}

export const reached = (row: Row) => (row.goal === '<=' ? row.ratio <= row.limit : row.ratio >= row.limit)

export function median(values: readonly number[]): number {
  return percentile(values, 50)
}

/** Nearest-rank percentile. */
export function percentile(values: readonly number[], percent: number): number {
  const sorted = [...values].sort((a, b) => a - b)
  return sorted[Math.max(0, Math.ceil((percent / 100) * sorted.length) - 1)] ?? Number.NaN
}

export function printTable(rows: readonly Row[]): void {
  const cells = rows.map((row) => [
    row.gate ? 'G' : 'R',
    row.what,
    row.ours,
    row.beside,
    Number.isNaN(row.ratio) ? '-' : `${row.ratio.toFixed(2)}${row.unit ?? 'x'}`,
    `${row.goal} ${row.limit}${row.unit ?? 'x'}`,
    reached(row) ? 'reached' : 'NOT REACHED',
  ])
  const head = ['', 'what', 'ours', 'beside', 'ratio', 'goal', '']
  const widths = head.map((title, column) =>
    Math.max(title.length, ...cells.map((row) => row[column]?.length ?? 0)),
  )
  for (const row of [head, ...cells])
    console.log(
      row
        .map((cell, column) => cell.padEnd(widths[column] ?? 0))
        .join('  ')
        .trimEnd(),
    )
}
