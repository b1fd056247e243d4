import type { Keyboard } from '../../broker/contract/keyboards.ts'

/** Keyboards by the name that people know them by. */
export const KEYBOARD_NAMES: Record<Keyboard, string> = {
  'en-US': 'English (US)',
  'en-GB': 'English (UK)',
  'de-DE': 'German',
  'de-CH': 'German (Switzerland)',
  'fr-FR': 'French',
  'fr-CH': 'French (Switzerland)',
  'fr-BE': 'French (Belgium)',
  'nl-NL': 'Dutch',
  'it-IT': 'Italian',
  'es-ES': 'Spanish',
  'pt-PT': 'Portuguese',
  'pt-BR': 'Portuguese (Brazil)',
  'da-DK': 'Danish',
  'sv-SE': 'Swedish',
  'nb-NO': 'Norwegian',
  'fi-FI': 'Finnish',
  'pl-PL': 'Polish',
  'cs-CZ': 'Czech',
  'sk-SK': 'Slovak',
  'hu-HU': 'Hungarian',
  'tr-TR': 'Turkish',
  'ja-JP': 'Japanese',
}
const PLACE = 'sallyport.keyboard'

const isKeyboard = (value: string | null): value is Keyboard => value !== null && value in KEYBOARD_NAMES

/** The keyboard that a person's languages make likely: the first of which there is one, in the region or elsewhere. */
export function likelyKeyboard(languages: readonly string[]): Keyboard {
  const known = Object.keys(KEYBOARD_NAMES).filter(isKeyboard)
  for (const language of languages) {
    const [word] = language.split('-')
    // Norwegian has two names.
    const same = word === 'no' || word === 'nn' ? 'nb' : word
    const found = known.find((one) => one === language) ?? known.find((one) => one.split('-')[0] === same)
    if (found) return found
  }
  return 'en-US'
}

/** What this browser's person chose last, or what is likely. */
export function chosenKeyboard(): Keyboard {
  const kept = localStorage.getItem(PLACE)
  return isKeyboard(kept) ? kept : likelyKeyboard(navigator.languages)
}

export function keepKeyboard(value: string | null): void {
  if (isKeyboard(value)) localStorage.setItem(PLACE, value)
}
