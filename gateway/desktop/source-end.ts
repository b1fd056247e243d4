/** The connection ended between the handshake and the picture. `code`: of the protocol's own list. */
export class OpeningFailed<Code extends string = string> extends Error {
  readonly code: Code

  constructor(code: Code) {
    super(code)
    this.code = code
  }
}

/** Our own decoder's words, unless something has taken its place. */
export function violationText(payload: Uint8Array): string {
  const text = new TextDecoder('latin1').decode(payload.subarray(0, 120))
  return /^[A-Za-z0-9 ,-]+$/.test(text) ? text : 'the protocol was broken'
}
