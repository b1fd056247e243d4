/**
 * What a server says of the end that is about to come (Set Error Info, MS-RDPBCGR 2.2.5.1.1). Null where it says nothing that
 * changes what a person is told.
 */
export function endOfErrorInfo(code: number): 'taken-over' | 'dismissed' | 'shell-ended' | 'licence' | null {
  switch (code) {
    case 0x05: // ERRINFO_DISCONNECTED_BY_OTHERCONNECTION
      return 'taken-over'
    case 0x0b: // ERRINFO_RPC_INITIATED_DISCONNECT_BYUSER
    case 0x0c: // ERRINFO_LOGOFF_BY_USER
      return 'shell-ended'
    case 0x01: // ERRINFO_RPC_INITIATED_DISCONNECT
    case 0x02: // ERRINFO_RPC_INITIATED_LOGOFF
    case 0x03: // ERRINFO_IDLE_TIMEOUT
    case 0x04: // ERRINFO_LOGON_TIMEOUT
    case 0x06: // ERRINFO_OUT_OF_MEMORY
    case 0x07: // ERRINFO_SERVER_DENIED_CONNECTION
    case 0x09: // ERRINFO_SERVER_INSUFFICIENT_PRIVILEGES
    case 0x0a: // ERRINFO_SERVER_FRESH_CREDENTIALS_REQUIRED
      return 'dismissed'
    default:
      return code >= 0x100 && code <= 0x10a ? 'licence' : null
  }
}
