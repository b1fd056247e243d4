import { ANCHORS } from './anchors.ts'
import { APPROVALS } from './approvals.ts'
import { ASSERTIONS } from './assertions.ts'
import type { Case } from './case.ts'
import { CONTENT } from './content.ts'
import { DESKTOP } from './desktop.ts'
import { FRAMES } from './frames.ts'
import { GAPS } from './gaps.ts'
import { GRANTS } from './grants.ts'
import { INPUT_WINDOW } from './input-window.ts'
import { LOG } from './log.ts'
import { MANIFEST } from './manifest.ts'
import { PACKAGE } from './package.ts'
import { RDP } from './rdp.ts'
import { SEGMENTS } from './segments.ts'
import { WHOLE } from './whole.ts'

/** All of them, in the order of the checks. The frozen vectors are made from this table. */
export const CASES: Case[] = [
  ...WHOLE,
  ...PACKAGE,
  ...MANIFEST,
  ...SEGMENTS,
  ...FRAMES,
  ...ANCHORS,
  ...LOG,
  ...CONTENT,
  ...DESKTOP,
  ...RDP,
  ...APPROVALS,
  ...ASSERTIONS,
  ...GRANTS,
  ...INPUT_WINDOW,
  ...GAPS,
]
