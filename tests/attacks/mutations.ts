import type { Mutation } from './mutation.ts'

/** By test file in this folder. */
export const MUTATIONS: Record<string, readonly Mutation[]> = {
  '17-credentials': [
    {
      removes: 'the address stays with the gateway',
      file: 'gateway/session/session.ts',
      find: '      asset: this.#grant.asset.name,\n      account:',
      // biome-ignore lint/suspicious/noTemplateCurlyInString: source text
      replace: '      asset: `${this.#grant.asset.name} at ${this.#grant.address.host}`,\n      account:',
    },
    {
      removes: 'the credential stays with the gateway',
      file: 'gateway/pool/worker.ts',
      find: '        () => login(grant),',
      replace: `        async () => {
          const found = await login(grant)
          if (found?.kind === 'password') (grant as { account: string }).account = String(found.password.reveal())
          return found
        },`,
    },
  ],
  '36-cookies': [
    {
      removes: 'the request to the gateway is written afresh',
      file: 'broker/link/browser-upgrade.ts',
      find: '  gateway.write(freshRequest(session, read.handshake, TICKET_HEADER))',
      replace: `  gateway.write(
    freshRequest(session, read.handshake, TICKET_HEADER).replace(
      'Connection: Upgrade',
      () => \`Connection: Upgrade\\r\\nCookie: \${request.headers.cookie}\\r\\nX-Forwarded-For: \${request.headers['x-forwarded-for']}\`,
    ),
  )`,
    },
  ],
}
