import { defineConfig } from 'vitest/config'

/**
 * Suites are vitest projects, so that each has its own time budget in tests/run.ts.
 * unit: beside the code, no process, no network. The others live under tests/.
 */
const slow = { testTimeout: 120_000, hookTimeout: 180_000, fileParallelism: false }
/** Each file has its own installation on its own ports, and they wait more than they work: two at a time. */
const inPairs = { ...slow, fileParallelism: true, maxWorkers: 2, sequence: { groupOrder: 1 } }
export default defineConfig({
  test: {
    // By content: what one suite has read as JavaScript, the next ones need not translate again.
    experimental: { fsModuleCache: true },
    projects: [
      {
        test: {
          name: 'unit',
          // A hang, told from a slow machine.
          testTimeout: 60_000,
          include: ['{broker,approvals,gateway,recordings}/**/*.test.ts', 'web/**/*.test.ts'],
          exclude: ['**/node_modules/**'],
        },
      },
      { test: { name: 'architecture', include: ['tests/architecture/*.test.ts'] } },
      { test: { name: 'broker', include: ['tests/broker/**/*.test.ts'], ...inPairs } },
      { test: { name: 'recordings', include: ['tests/recordings/**/*.test.ts'], ...inPairs } },
      { test: { name: 'gateway', include: ['tests/gateway/**/*.test.ts'], ...inPairs } },
      { test: { name: 'attacks', include: ['tests/attacks/**/*.test.ts'], ...inPairs } },
      { test: { name: 'failures', include: ['tests/failures/**/*.test.ts'], ...inPairs } },
      { test: { name: 'journeys', include: ['tests/journeys/**/*.test.ts'], ...inPairs } },
      { test: { name: 'long', include: ['tests/long/**/*.test.ts'], ...slow, testTimeout: 1_800_000 } },
    ],
  },
})
