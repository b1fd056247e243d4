import { timingSafeEqual } from 'node:crypto'
import { sha256 } from '../domain/canonical.ts'

/** Whether two texts are the same, in a time that depends on neither's content nor length. */
export function constantTimeEqual(a: string, b: string): boolean {
  return timingSafeEqual(sha256(a), sha256(b))
}
