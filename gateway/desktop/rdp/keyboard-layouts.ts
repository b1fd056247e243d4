import type { Keyboard } from '../../../broker/contract/keyboards.ts'

/** Input locale identifiers (MS-LCID): what a server is told to make of the places of keys. */
export const KEYBOARD_LAYOUTS: Record<Keyboard, number> = {
  'en-US': 0x0409,
  'en-GB': 0x0809,
  'de-DE': 0x0407,
  'de-CH': 0x0807,
  'fr-FR': 0x040c,
  'fr-CH': 0x100c,
  'fr-BE': 0x080c,
  'nl-NL': 0x0413,
  'it-IT': 0x0410,
  'es-ES': 0x040a,
  'pt-PT': 0x0816,
  'pt-BR': 0x0416,
  'da-DK': 0x0406,
  'sv-SE': 0x041d,
  'nb-NO': 0x0414,
  'fi-FI': 0x040b,
  'pl-PL': 0x0415,
  'cs-CZ': 0x0405,
  'sk-SK': 0x041b,
  'hu-HU': 0x040e,
  'tr-TR': 0x041f,
  'ja-JP': 0x0411,
}
