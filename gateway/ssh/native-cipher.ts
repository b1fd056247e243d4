import ssh2Crypto from 'ssh2/lib/protocol/crypto.js'

/**
 * Whether ssh2 has loaded its native cipher. It must not: with Node 24.19 or newer it aborts the process, and every
 * session in it, when a cipher is collected (mscdex/ssh2 issue 1511), and an asset makes that happen by renewing its keys.
 */
export const nativeCipherLoaded = (): boolean => ssh2Crypto.bindingAvailable
