import type { PublicOrigin } from './origin.ts'

/**
 * Cookies. `__Host-` makes the browser keep the cookie to this very host, path / and HTTPS, so that a sibling
 * subdomain can't plant one. HttpOnly: no script reads it. SameSite=Lax and not Strict because the identity
 * provider's answer is a cross-site navigation (GET) that must carry the trip's cookie, and a link in a mail should
 * open the page signed in; nothing changes by GET, and every other method is checked by Origin and CSRF token.
 */
export interface Cookies {
  /** The name with its prefix. */
  name(base: CookieName): string
  read(header: string | undefined, base: CookieName): string | null
  /** Set-Cookie value; `maxAgeSeconds` 0 removes it. */
  write(base: CookieName, value: string, maxAgeSeconds: number): string
}

/** `sign-in`: the sign-in's token. `trip`: binds a trip to an identity provider to the browser that began it. */
export type CookieName = 'sign-in' | 'trip'

/** Cookie values as we write them. */
const VALUE = /^[A-Za-z0-9_-]{1,200}$/

export function cookiesFor(origin: PublicOrigin): Cookies {
  // http://localhost (demo) cannot carry __Host- cookies in every browser.
  const name = (base: CookieName) => `${origin.secure ? '__Host-' : ''}sallyport-${base}`
  return {
    name,
    read(header, base) {
      if (!header || header.length > 16_384) return null
      const wanted = `${name(base)}=`
      for (const part of header.split(';')) {
        const pair = part.trim()
        // Our values are base64url: anything else was not written by us.
        if (pair.startsWith(wanted)) return VALUE.exec(pair.slice(wanted.length))?.[0] ?? null
      }
      return null
    },
    write(base, value, maxAgeSeconds) {
      const secure = origin.secure ? '; Secure' : ''
      return `${name(base)}=${value}; Path=/; HttpOnly; SameSite=Lax; Max-Age=${maxAgeSeconds}${secure}`
    },
  }
}
