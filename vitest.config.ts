import { defineConfig } from 'vitest/config'

/**
 * Suites are vitest projects, so that each has its own time budget in tests/run.ts.
 * unit: beside the code, no process, no network. The others live under tests/.
 */
const slow = { testTimeout: 120_000, hookTimeout: 180_000, fileParallelism: false }
export default defineConfig({
  test: {
    projects: [
      {
        test: {
          name: 'unit',
          include: ['{broker,approvals,gateway,recordings}/**/*.test.ts', 'web/**/*.test.ts'],
          exclude: ['**/node_modules/**'],
        },
      },
      { test: { name: 'architecture', include: ['tests/architecture/*.test.ts'] } },
      { test: { name: 'broker', include: ['tests/broker/**/*.test.ts'], ...slow } },
      { test: { name: 'recordings', include: ['tests/recordings/**/*.test.ts'], ...slow } },
      { test: { name: 'gateway', include: ['tests/gateway/**/*.test.ts'], ...slow } },
      { test: { name: 'attacks', include: ['tests/attacks/**/*.test.ts'], ...slow } },
      { test: { name: 'failures', include: ['tests/failures/**/*.test.ts'], ...slow } },
      { test: { name: 'journeys', include: ['tests/journeys/**/*.test.ts'], ...slow } },
      { test: { name: 'long', include: ['tests/long/**/*.test.ts'], ...slow, testTimeout: 1_800_000 } },
    ],
  },
})
