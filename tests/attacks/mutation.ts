import { readdirSync, readFileSync } from 'node:fs'
import { join } from 'node:path'

/**
 * The edit that takes a defence away and so must turn its test red. `node tests/attacks/mutate.ts [name …]` makes the
 * edit in a copy of the checkout, runs the test there and wants it to fail.
 */
export interface Mutation {
  /** Path in the repository. */
  file: string
  find: string
  replace: string
  /** The defence that is gone then. */
  removes: string
}

/** Throws when the text to replace is not in the file exactly once: a mutation that can't be made proves nothing. */
export function mutated(mutation: Mutation, root = join(import.meta.dirname, '..', '..')): string {
  const source = readFileSync(join(root, mutation.file), 'utf8')
  const parts = source.split(mutation.find)
  if (parts.length !== 2)
    throw new Error(`${mutation.file} holds the text to replace ${parts.length - 1} times: ${mutation.find}`)
  return parts.join(mutation.replace)
}

/** What runs a row: the test file of that name, or the one that runs it beside others. */
export function testsOf(row: string): string[] {
  const files = readdirSync(import.meta.dirname).filter((file) => file.endsWith('.test.ts'))
  if (files.includes(`${row}.test.ts`)) return [`tests/attacks/${row}.test.ts`]
  const shared = files.find((file) =>
    readFileSync(join(import.meta.dirname, file), 'utf8').includes(`'${row}'`),
  )
  if (!shared) throw new Error(`no test runs the row ${row}`)
  return [`tests/attacks/${shared}`, '-t', row]
}
