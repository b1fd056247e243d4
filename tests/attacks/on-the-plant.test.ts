import { afterAll, beforeAll, beforeEach, describe } from 'vitest'
import { opensshMissing } from '../lab/openssh.ts'
import { pivotThroughSsh } from './02-pivot-through-ssh.ts'
import { wrongOriginAssertion } from './04-wrong-origin-assertion.ts'
import { replayedApproval } from './05-replayed-approval.ts'
import { editedRequest } from './06-edited-request.ts'
import { linkScanner } from './08-link-scanner.ts'
import { changedHostKey } from './14-changed-host-key.ts'
import { foreignOrigin } from './18-foreign-origin.ts'
import { pathTraversal } from './20-path-traversal.ts'
import { leaverInside } from './26-leaver-inside.ts'
import { crossSiteRequest } from './27-cross-site-request.ts'
import { stopByTheVendor } from './31-stop-by-the-vendor.ts'
import { hostileSsh } from './32-hostile-ssh.ts'
import { typedPassword } from './33-typed-password.ts'
import { deniedApproval } from './34-denied-approval.ts'
import { weakSsh } from './37-weak-ssh.ts'
import { unsignedEvidence } from './38-unsigned-evidence.ts'
import { revokedInside } from './39-revoked-inside.ts'
import { type Row, type System, startSystem } from './system.ts'

/** Rows that share one running installation: each brings its own request, asset or people. */
const ROWS: Record<string, Row> = {
  '02-pivot-through-ssh': pivotThroughSsh,
  '04-wrong-origin-assertion': wrongOriginAssertion,
  '05-replayed-approval': replayedApproval,
  '06-edited-request': editedRequest,
  '08-link-scanner': linkScanner,
  '14-changed-host-key': changedHostKey,
  '18-foreign-origin': foreignOrigin,
  '20-path-traversal': pathTraversal,
  '26-leaver-inside': leaverInside,
  '27-cross-site-request': crossSiteRequest,
  '31-stop-by-the-vendor': stopByTheVendor,
  '32-hostile-ssh': hostileSsh,
  '33-typed-password': typedPassword,
  '34-denied-approval': deniedApproval,
  '37-weak-ssh': weakSsh,
  '38-unsigned-evidence': unsignedEvidence,
  '39-revoked-inside': revokedInside,
}
const missing = opensshMissing()

describe.skipIf(missing !== null)(`attacks on the plant${missing ? ` (skipped: ${missing})` : ''}`, () => {
  let system: System
  beforeAll(async () => {
    system = await startSystem()
  })
  afterAll(() => system?.stop())
  // Strong authentication is fresh for five minutes, and no row is about that.
  let fresh = performance.now()
  beforeEach(async () => {
    if (performance.now() - fresh < 120_000) return
    fresh = performance.now()
    for (const who of [system.plant.admin, system.story.vera, system.story.paul]) await who.signIn()
  })
  for (const [name, row] of Object.entries(ROWS)) describe(name, () => row(() => system))
})
