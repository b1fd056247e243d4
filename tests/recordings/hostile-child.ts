import { readFileSync, writeFileSync } from 'node:fs'
import { createInterface } from 'node:readline'
import { verifyCommand } from '../../recordings/cli/verify.ts'

/**
 * The product's verifier over many packages, one after the other: a line of arguments in (JSON), a line of the answer
 * out, with the most memory that this process has had at once since the question.
 */
const write = (answer: object) => process.stdout.write(`${JSON.stringify(answer)}\n`)

for await (const line of createInterface({ input: process.stdin })) {
  writeFileSync('/proc/self/clear_refs', '5')
  let printed = ''
  const exit = await verifyCommand(JSON.parse(line) as string[], (text) => {
    printed += text
  })
  const [, kib] = /VmHWM:\s+([0-9]+)/.exec(readFileSync('/proc/self/status', 'utf8')) ?? []
  write({ exit, printed, memoryMib: Math.round(Number(kib) / 1024) })
}
