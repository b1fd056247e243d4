/** A JSON string, to be left out when the spelling of numbers is looked at. */
const STRINGS = /"[^"\\]*(?:\\.[^"\\]*)*"/g

/**
 * Parses JSON of the evidence formats: integers are spelled without fraction and exponent, so that a verifier in a
 * language that tells 1 from 1.0 reads the same. Throws SyntaxError.
 */
export function parseJson(text: string): unknown {
  const value: unknown = JSON.parse(text)
  if (/[.]|[0-9][eE]/.test(text.replace(STRINGS, '""'))) {
    throw new SyntaxError('a number has a fraction or an exponent')
  }
  return value
}
