/** Contrast: the system's wish unless the person chose; kept on this device only. */
const KEY = 'sallyport-contrast'

export type Contrast = 'system' | 'high'

export function readContrast(): Contrast {
  const kept = localStorage.getItem(KEY) === 'high' ? 'high' : 'system'
  document.documentElement.dataset.contrast = kept
  return kept
}

export function keepContrast(value: Contrast): void {
  localStorage.setItem(KEY, value)
  document.documentElement.dataset.contrast = value
}
