import type { PublicOrigin } from './origin.ts'

/**
 * Headers on every answer. Scripts only from our own files (players and noVNC need 'wasm-unsafe-eval' and data/blob
 * images); styles may be inline because the terminal and the component library write style elements at run time.
 */
export function securityHeaders(origin: PublicOrigin): Record<string, string> {
  const socket = `${origin.secure ? 'wss' : 'ws'}://${origin.host}`
  const csp = [
    "default-src 'none'",
    "script-src 'self' 'wasm-unsafe-eval'",
    "style-src 'self' 'unsafe-inline'",
    "img-src 'self' data: blob:",
    "font-src 'self'",
    `connect-src 'self' ${socket}`,
    "manifest-src 'self'",
    "worker-src 'self'",
    "media-src 'self'",
    "frame-ancestors 'none'",
    "base-uri 'none'",
    "form-action 'self'",
  ].join('; ')
  return {
    'content-security-policy': csp,
    'x-content-type-options': 'nosniff',
    'x-frame-options': 'DENY',
    // Not no-referrer: under that, browsers send `Origin: null` with form posts and the CSRF check would refuse them.
    'referrer-policy': 'same-origin',
    'cross-origin-opener-policy': 'same-origin',
    'cross-origin-resource-policy': 'same-origin',
    'permissions-policy':
      'camera=(), microphone=(), geolocation=(), usb=(), serial=(), payment=(), publickey-credentials-get=(self), publickey-credentials-create=(self)',
    ...(origin.secure ? { 'strict-transport-security': 'max-age=31536000' } : {}),
  }
}
