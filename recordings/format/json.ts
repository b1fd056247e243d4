/** Deeper than this is no JSON: how deep a parser can go differs from language to language. */
const DEPTH_LIMIT = 64

/** A JSON string, to be left out when the spelling of numbers is looked at. */
const STRINGS = /"[^"\\]*(?:\\.[^"\\]*)*"/g

/**
 * Parses JSON of the evidence formats: integers are spelled without fraction and exponent, so that a verifier in a
 * language that tells 1 from 1.0 reads the same. Throws SyntaxError.
 */
export function parseJson(text: string): unknown {
  const value: unknown = JSON.parse(text)
  const bare = text.replace(STRINGS, '""')
  checkDepth(bare)
  if (/[.]|[0-9][eE]/.test(bare)) {
    throw new SyntaxError('a number has a fraction or an exponent')
  }
  return value
}

/** Parses JSON that others wrote, in which any spelling of a number may stand. Throws SyntaxError. */
export function parseForeignJson(text: string): unknown {
  const value: unknown = JSON.parse(text)
  checkDepth(text.replace(STRINGS, '""'))
  return value
}

function checkDepth(bare: string): void {
  let depth = 0
  for (const mark of bare.matchAll(/[[\]{}]/g)) {
    depth += mark[0] === '[' || mark[0] === '{' ? 1 : -1
    if (depth > DEPTH_LIMIT) throw new SyntaxError('nested too deep')
  }
}
