import type { FastifyInstance } from 'fastify'
import QRCode from 'qrcode'
import type { PublicOrigin } from './origin.ts'
import type { ServerTls } from './tls.ts'

/**
 * `/trust`: brings the site CA to a phone. Plain HTML without script, because it is opened by a browser that has no
 * reason to trust us yet; the person compares the fingerprint with the one on the administrator's paper.
 */
export function registerTrustPage(app: FastifyInstance, tls: ServerTls, origin: PublicOrigin): void {
  const { ca } = tls
  if (!ca) return
  const download = `${origin.origin}/trust/ca.crt`
  app.get('/trust', { schema: { hide: true } as object }, async (_request, reply) => {
    const image = await QRCode.toDataURL(download, { errorCorrectionLevel: 'M', margin: 2, width: 260 })
    return reply
      .type('text/html; charset=utf-8')
      .header('cache-control', 'no-cache')
      .send(page(image, download, ca.fingerprint))
  })
  app.get('/trust/ca.crt', { schema: { hide: true } as object }, async (_request, reply) =>
    reply
      .type('application/x-x509-ca-cert')
      .header('content-disposition', 'attachment; filename="sallyport-site-ca.crt"')
      .header('cache-control', 'no-cache')
      .send(ca.certificate),
  )
}

/** Everything put in comes from ourselves: a data URL, our own address, hexadecimal digits. */
function page(image: string, download: string, fingerprint: string): string {
  return `<!doctype html>
<html lang="en">
<meta charset="utf-8">
<meta name="viewport" content="width=device-width, initial-scale=1">
<title>Trust this site on your phone</title>
<style>
  body { font: 16px/1.5 system-ui, sans-serif; max-width: 40rem; margin: 2rem auto; padding: 0 1rem; color: #1c1f23; background: #f6f7f8 }
  h1 { font-size: 1.5rem; line-height: 1.25 }
  li { margin: .5rem 0; overflow-wrap: anywhere }
  a { color: #1f5673 }
  code { font: 14px/1.6 ui-monospace, monospace; word-break: break-all }
  img { display: block; background: #fff; border: 1px solid #ccd0d5 }
  @media (prefers-color-scheme: dark) { body { color: #e3e6ea; background: #16181b } a { color: #8fc1dc } }
</style>
<h1>Trust this site on your phone</h1>
<p>This plant runs its own certificate authority for this one address. Your phone needs it once, so that it can show
the pages without a warning and keep a passkey for them.</p>
<ol>
  <li>Scan the code, or open <a href="${download}">${download}</a>. The phone warns here for the last time.</li>
  <li>Compare the fingerprint that the phone shows with the one your administrator gave you on paper. It is
    <br><code>SHA-256 ${fingerprint}</code></li>
  <li>iPhone: Settings, Profile downloaded, Install; then General, About, Certificate trust settings, switch it on.
    Android: Settings, Security, Install a certificate, CA certificate.</li>
</ol>
<img src="${image}" width="260" height="260" alt="QR code with the address of the certificate">
<p>The certificate can vouch for this address only (name constraints), whoever may hold its key.</p>
</html>
`
}
