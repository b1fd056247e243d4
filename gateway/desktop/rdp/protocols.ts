import type { RdpSecurity } from '../../../broker/domain/rdp.ts'
import { RDP_PROTOCOL } from './x224.ts'

/** What IronRDP asks for in either case. The session asks in its name, and the server repeats it later. */
export const ASKED: Record<RdpSecurity['security'], number> = {
  nla: RDP_PROTOCOL.tls | RDP_PROTOCOL.nla | RDP_PROTOCOL.nlaExtended,
  tls: RDP_PROTOCOL.tls,
}
