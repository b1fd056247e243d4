import type { Client } from 'ssh2'

/**
 * ssh2 refuses what the asset tries to open, but in silence, has no say in it for us, and falls back to SHA-1
 * signatures for RSA user keys when a server announces none. Both are set right on its protocol object. The package is
 * pinned; if the parts below are missing (another version) `harden` throws and no session opens.
 */
interface Protocol {
  _handlers: {
    CHANNEL_OPEN: (protocol: unknown, info: { type: string; sender: number }) => void
    GLOBAL_REQUEST: (protocol: unknown, name: string, wantReply: boolean, data: unknown) => void
    CHANNEL_REQUEST: (
      protocol: unknown,
      recipient: number,
      type: string,
      wantReply: boolean,
      data: unknown,
    ) => void
  }
  _compatFlags: number
  _strictMode: boolean | undefined
  channelOpenFail(recipient: number, reason: number, text: string): void
  requestFailure(): void
}

/** RFC 4254 section 5.1. */
const ADMINISTRATIVELY_PROHIBITED = 1
/** ssh2's COMPAT.IMPLY_RSA_SHA2_SIGALGS: sign with rsa-sha2-256 also where the server sent no server-sig-algs. */
const IMPLY_RSA_SHA2 = 1 << 4
/** What a peaceful server sends on its own; answered, but no attempt to reach anything. */
const HARMLESS = new Set([
  'keepalive@openssh.com',
  'hostkeys-00@openssh.com',
  'hostkeys-prove-00@openssh.com',
])

function protocolOf(client: Client): Protocol {
  const protocol = (client as unknown as { _protocol?: Protocol })._protocol
  if (
    typeof protocol?._handlers?.CHANNEL_OPEN !== 'function' ||
    typeof protocol._handlers.GLOBAL_REQUEST !== 'function' ||
    typeof protocol.channelOpenFail !== 'function' ||
    typeof protocol._compatFlags !== 'number'
  )
    throw new Error('ssh2 has changed inside: its refusal of incoming channels can no longer be vouched for')
  return protocol
}

/** Call right after `connect()`. `refused` hears the name of each channel or request that the asset tried. */
export function harden(client: Client, refused: (channel: string) => void): void {
  const protocol = protocolOf(client)
  protocol._handlers.CHANNEL_OPEN = (_protocol, info) => {
    protocol.channelOpenFail(info.sender, ADMINISTRATIVELY_PROHIBITED, '')
    refused(name(info.type))
  }
  protocol._handlers.GLOBAL_REQUEST = (_protocol, type, wantReply) => {
    if (wantReply) protocol.requestFailure()
    if (!HARMLESS.has(type)) refused(name(type))
  }
}

/** From the first handshake on, before any authentication. */
export function noSha1Signatures(client: Client): void {
  protocolOf(client)._compatFlags |= IMPLY_RSA_SHA2
}

export function strictKeyExchange(client: Client): boolean {
  return protocolOf(client)._strictMode === true
}

/** The name comes from the other side: printable ASCII, short. */
function name(type: unknown): string {
  return String(type)
    .replace(/[^\x21-\x7e]/g, '?')
    .slice(0, 64)
}
