import type { RecordingFailure } from './api.ts'

/** `atMs`: the first moment that may not be on disk. */
export function failureOf(error: unknown, atMs: number): RecordingFailure {
  const code = error instanceof Error && 'code' in error ? String(error.code) : ''
  if (code === 'ENOSPC' || code === 'EDQUOT') {
    return { code: 'disk-full', message: 'the recording store is full: free space, or end the session', atMs }
  }
  const reason = error instanceof Error ? error.message : String(error)
  if (/^E[A-Z]+$/.test(code)) {
    return {
      code: 'write-failed',
      message: `the recording store does not take writes (${code}): check the disk`,
      atMs,
    }
  }
  return { code: 'internal', message: `recording failed: ${reason}`, atMs }
}
