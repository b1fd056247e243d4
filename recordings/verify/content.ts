import type { SegmentHeader } from '../format/header.ts'
import type { Fault } from '../format/result.ts'
import type { ReadFrame } from '../format/segment-reader.ts'
import { DesktopContent } from './desktop-content.ts'
import { TerminalContent } from './terminal-content.ts'

/** Checks the content of one segment, chunk by chunk in order. */
export interface ContentChecker {
  /** Null, or what is wrong with this chunk. Codes content-*. */
  check(frame: ReadFrame, plain: Buffer): Fault | null
}

/** The checker for what a segment's header says it holds. */
export function contentChecker(header: SegmentHeader): ContentChecker {
  return header.media === 'rfb-v1' ? new DesktopContent(header) : new TerminalContent(header)
}
