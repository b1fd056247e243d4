/** The X11 keysym of a character: Latin-1 is itself, all others are Unicode's with 0x01000000 (X11's appendix A). */
export function keysymOf(character: string): number {
  const code = character.codePointAt(0) ?? 0
  return (code >= 0x20 && code <= 0x7e) || (code >= 0xa0 && code <= 0xff) ? code : 0x01000000 | code
}
