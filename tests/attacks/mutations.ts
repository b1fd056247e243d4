import type { Mutation } from './mutation.ts'

/** By row: a test file in this folder, or one of those that run on the shared plant. */
export const MUTATIONS: Record<string, readonly Mutation[]> = {
  '01-stolen-cookie': [
    {
      removes: 'another sign-in than the one that opened the session proves itself afresh',
      file: 'broker/sessions/sessions.ts',
      find: 'if (live.signInId !== principal.signInId && !isFresh(principal, this.deps.clock)) throw stepUpRequired()',
      replace: 'stepUpRequired()',
    },
  ],
  '02-pivot-through-ssh': [
    {
      removes: 'what the asset opens is refused by us, and told',
      file: 'gateway/ssh/open-ssh.ts',
      find: 'harden(this.client, (channel) => this.#events.channelRefused(channel))',
      replace: '',
    },
    {
      removes: 'an asset that goes on trying ends its session',
      file: 'gateway/session/asset-side.ts',
      find: 'const MOST_REFUSED_CHANNELS = 20',
      replace: 'const MOST_REFUSED_CHANNELS = 20_000',
    },
  ],
  '03-pivot-through-rdp': [
    {
      removes: 'no dynamic channels',
      file: 'gateway/desktop/rdp/rdp-decoder.ts',
      find: '.extension(displayControl(false))',
      replace: '.extension(displayControl(true))',
    },
    {
      removes: 'no clipboard where none is granted',
      file: 'gateway/desktop/rdp/rdp-decoder.ts',
      find: 'if (!clipboard.in && !clipboard.out) return builder',
      replace: '',
    },
    {
      removes: 'a channel that nobody asked for breaks the protocol',
      file: 'gateway/desktop/rdp/stream/server-stream.ts',
      find: 'data.channel !== ioChannel && !this.#handlers.hasClipboard',
      replace: 'false',
    },
  ],
  '04-wrong-origin-assertion': [
    {
      removes: 'the origin in the signed client data is ours',
      file: 'approvals/verify-approval.ts',
      find: 'expectedOrigin: [...webauthn.origins],',
      replace:
        "expectedOrigin: JSON.parse(Buffer.from(parts.clientDataJSON, 'base64url').toString('utf8')).origin,",
    },
    {
      removes: 'the passkey checked who holds it',
      file: 'approvals/verify-approval.ts',
      find: `requireUserVerification: true,
      // The counter is the sign-in's business: here the same assertion is verified again and again.
      credential: { id: key.credentialId, publicKey: new Uint8Array(key.publicKey), counter: 0 },
    })
    if (!verified || !authenticationInfo.userVerified) return null`,
      replace: `requireUserVerification: false,
      credential: { id: key.credentialId, publicKey: new Uint8Array(key.publicKey), counter: 0 },
    })
    if (!verified) return null`,
    },
  ],
  '05-replayed-approval': [
    {
      removes: 'a challenge counts once',
      file: 'approvals/decisions.ts',
      find: 'if (challenge.used_at)',
      replace: 'if (false)',
    },
  ],
  '06-edited-request': [
    {
      removes: 'what is signed is still what is asked',
      file: 'approvals/decisions.ts',
      find: 'if (gathered.row.version !== challenge.version || text(document.snapshot) !== signed)',
      replace: 'if (false)',
    },
    {
      removes: 'an approval counts for the snapshot that it was given to',
      file: 'broker/policy/count-approvals.ts',
      find: "if (approval.snapshotHash !== facts.request.snapshotHash) return 'edited-after'",
      replace: '',
    },
  ],
  '07-own-set-up-link': [
    {
      removes: 'who made the link does not confirm what was registered with it',
      file: 'broker/identity/people.ts',
      find: 'if (alone && (await this.#others(tx, principal, id, roles))) {',
      replace: 'if (false) {',
    },
    {
      removes: 'who confirms has been confirmed',
      file: 'broker/identity/people.ts',
      find: "    if (principal.method !== 'passkey') return\n    const used",
      replace: '    if (principal) return\n    const used',
    },
    {
      removes: 'the log vouches for who invited',
      file: 'broker/identity/rows.ts',
      find: '    ...(row.invitedBy === null ? {} : { invitedBy: row.invitedBy }),\n',
      replace: '',
    },
  ],
  '07-refusal-taken-back': [
    {
      removes: 'a refusal is its giver’s',
      file: 'approvals/decisions.ts',
      find: "if (before.decision === 'declined' && before.person_id !== principal.personId)",
      replace: 'if (false)',
    },
  ],
  '08-link-scanner': [
    {
      removes: 'reading the notice is not accepting it',
      file: 'broker/sessions/routes.ts',
      find: '      return await notice(siteId, principal.personId)\n',
      replace: `      const read = await notice(siteId, principal.personId)
      await accept({ principal, sourceAddress: '' }, siteId, read.version)
      return read
`,
    },
  ],
  '09-evidence-after-the-end': [
    {
      removes: 'a finished recording takes nothing more',
      file: 'recordings/archive/sink.ts',
      find: "if ((await finished()) && (await store.size(key)) === null) return 'conflict'",
      replace: '',
    },
  ],
  '09-impossible-events': [
    {
      removes: 'numbers and times are brought into their range',
      file: 'broker/contract/link.ts',
      find: 'z.number().transform((value) => Math.min(Math.max(value, low), high))',
      replace: 'z.number().transform((value) => (low < high ? value : value))',
    },
    {
      removes: 'texts are cut',
      file: 'broker/contract/link.ts',
      find: 'value.slice(0, limit).toWellFormed()',
      replace: '(limit > 0 ? value : value).toWellFormed()',
    },
    {
      removes: 'the quota of events',
      file: 'broker/link/link.ts',
      find: 'wait: () => this.#quota(gateway),',
      replace: 'wait: () => 0,',
    },
  ],
  '09-recording-not-missed': [
    {
      removes: 'an end is not in the future',
      file: 'broker/sessions/gateway-events.ts',
      find: 'new Date(Math.min(event.at, now.getTime()))',
      replace: 'new Date(Math.min(event.at, now.getTime() * 100))',
    },
    {
      removes: 'a gateway does not speak in the broker’s name',
      file: 'broker/sessions/gateway-events.ts',
      find: "(event.by === BROKER.id ? 'gateway' : event.by)",
      replace: '(event.by === BROKER.id ? event.by : event.by)',
    },
  ],
  '09-revoked-gateway': [
    {
      removes: 'browsers of a revoked gateway are cut off',
      file: 'broker/broker.ts',
      find: 'sockets.close((socket) => sessions.live.get(socket.session)?.gatewayId === id)',
      replace: '',
    },
  ],
  '09-segment-of-another-make': [
    {
      removes: 'a segment is the one that the manifest names',
      file: 'recordings/archive/open-segment.ts',
      find: '    named &&\n    (reader.goodBytes',
      replace: '    false &&\n    (reader.goodBytes',
    },
    {
      removes: 'the manifest is the one that was taken',
      file: 'recordings/archive/reader-thread.ts',
      find: "else if (taken !== null && jwsHash(jws) !== taken) fault = 'manifest-other'",
      replace: '',
    },
  ],
  '10-edited-rows': [
    {
      removes: 'the log vouches for an enrolment token',
      file: 'broker/link/enrolment-token.ts',
      find: "await audit.verifyObject(tx, 'enrolment-token', id, before)",
      replace: '',
    },
    {
      removes: 'the log vouches for the gateway that enrols',
      file: 'broker/link/enrol.ts',
      find: "await deps.audit.verifyObject(tx, 'gateway', before.id, gatewayState(before))",
      replace: '',
    },
    {
      removes: 'the log vouches for a set-up link',
      file: 'broker/identity/set-up-links.ts',
      find: "!(await isVouched(this.#audit, query, 'set-up-link', row.tokenHash.toString('hex'), linkState(row)))",
      replace: 'false',
    },
    {
      removes: 'the log vouches for a mail address',
      file: 'broker/identity/rows.ts',
      find: '    email: row.email,\n    vendorId',
      replace: '    vendorId',
    },
    {
      removes: 'the log vouches for a site’s name',
      file: 'broker/identity/sign-in-flows.ts',
      find: `const vouched = await keepVouched(
    audit,
    tx,
    sites.map((row) => ({ row, kind: 'site', id: row.id, form: canonicalSite(row) })),
  )`,
      replace: 'const vouched = sites',
    },
    {
      removes: 'the compared document is the one that was signed',
      file: 'approvals/gather-facts.ts',
      find: "if (assetHash(signed) !== snapshot.asset.hash) changed.push('asset snapshot')",
      replace: '',
    },
  ],
  '10-edited-session': [
    {
      removes: 'a stored grant is verified',
      file: 'broker/sessions/tokens.ts',
      find: "return verify(null, signed, publicKey, Buffer.from(signature, 'base64url'))",
      replace: 'return signature !== String(signed) && publicKey && verify',
    },
    {
      removes: 'the row names what its grant names',
      file: 'broker/sessions/sessions.ts',
      find: '    grant.account === row.account &&\n',
      replace: '',
    },
  ],
  '10-ended-sign-in': [
    {
      removes: 'an end in the log counts',
      file: 'broker/identity/sign-ins.ts',
      find: 'row.endedAt !== null || row.endLogged ||',
      replace: 'row.endedAt !== null ||',
    },
  ],
  '11-log-cut-short': [
    {
      removes: 'the database is held against the checkpoints',
      file: 'broker/audit/verify-log.ts',
      find: '  for (const head of heads) await mustExtend(db.sql, head)\n',
      replace: '',
    },
  ],
  '12-clock-turned-back': [
    {
      removes: 'a permission is a budget on the monotonic clock too',
      file: 'gateway/session/budget.ts',
      find: 'Math.min(budget.untilWall - clock.wall(), budget.untilMonotonic - clock.monotonic())',
      replace: 'budget.untilWall - clock.wall()',
    },
    {
      removes: 'a clock behind its mark opens nothing',
      file: 'gateway/link/clock-guard.ts',
      find: "if (this.#clock.wall() < this.#highest - APART_MS) return 'clock-behind'",
      replace: '',
    },
  ],
  '13-recording-disk-full': [
    {
      removes: 'a failed recording ends or holds its session',
      file: 'gateway/session/session.ts',
      find: "        this.#ends('recording-failed')\n",
      replace: '',
    },
    {
      removes: 'nobody comes in below the reserve',
      file: 'gateway/gateway.ts',
      find: "(this.#space.aboveReserve ? null : 'storage-below-reserve')",
      replace: 'null',
    },
  ],
  '14-changed-host-key': [
    {
      removes: 'the host key is the pinned one',
      file: 'gateway/ssh/open-ssh.ts',
      find: 'this.#target.identities.some((identity) => same(identity.fingerprint, seen.fingerprint))',
      replace: 'this.#target.identities.some((identity) => !same(identity.fingerprint, ""))',
    },
  ],
  '15-rdp-impersonated': [
    {
      removes: 'NLA where it was approved',
      file: 'gateway/desktop/rdp/negotiate.ts',
      find: 'if (does !== security) throw',
      replace: "if (does !== security && does !== 'tls') throw",
    },
    {
      removes: 'TLS in any case',
      file: 'gateway/desktop/rdp/negotiate.ts',
      find: 'if (does !== security) throw',
      replace: "if (does !== security && does !== 'standard') throw",
    },
    {
      removes: 'the certificate is the pinned one',
      file: 'gateway/desktop/rdp/negotiate.ts',
      find: "if (!isPinned(identities, tls.identity)) throw rdpEnd('identity-changed', tls.identity)",
      replace: '',
    },
  ],
  '16-vnc-without-authentication': [
    {
      removes: 'what an endpoint lacks needs an exception',
      file: 'approvals/gather-facts.ts',
      find: 'expiresAt: exception?.expiresAt.getTime() ?? null,',
      replace: 'expiresAt: exception?.expiresAt.getTime() ?? Date.UTC(2030, 0, 1),',
    },
    {
      removes: 'an exception ends',
      file: 'broker/policy/decide-access.ts',
      find: 'else if (at >= expiresAt)',
      replace: 'else if (false)',
    },
    {
      removes: 'an exception is for its own endpoint',
      file: 'approvals/ground.ts',
      find: 'x.endpoint_id = ${row.endpoint_id} AND ',
      replace: '',
    },
    {
      removes: 'a closed exception is over',
      file: 'approvals/ground.ts',
      find: '\n      AND x.closed_at IS NULL`',
      replace: '`',
    },
    {
      removes: 'the log vouches for exceptions',
      file: 'approvals/ground.ts',
      find: "(exception ? [{ kind: 'exception', id: exception.id }] : [])",
      replace: '(exception ? [] : [])',
    },
    {
      removes: 'the log vouches for how an endpoint is protected',
      file: 'broker/inventory/rows.ts',
      find: '{ vnc: { security: row.vncSecurity, authentication: row.vncAuthentication } }',
      replace: '{}',
    },
    {
      removes: 'how it is protected is part of what is signed',
      file: 'approvals/ground.ts',
      find: '...(ground.vnc === null ? {} : { vnc: ground.vnc }),',
      replace: '',
    },
    {
      removes: 'nobody approves before the exception is there to read',
      file: 'approvals/decisions.ts',
      find: "reason.code.startsWith('exception-')",
      replace: 'false',
    },
  ],
  '17-credentials': [
    {
      removes: 'the address stays with the gateway',
      file: 'gateway/session/state-view.ts',
      find: '    asset: grant.asset.name,\n    account:',
      // biome-ignore lint/suspicious/noTemplateCurlyInString: source text
      replace: '    asset: `${grant.asset.name} at ${grant.address.host}`,\n    account:',
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
  '18-foreign-origin': [
    {
      removes: 'only our own pages open a socket',
      file: 'broker/link/browser-upgrade.ts',
      find: "if (!deps.origins.includes(request.headers.origin ?? ''))",
      replace: 'if (false)',
    },
    {
      removes: 'a ticket is used up',
      file: 'gateway/edge/tokens.ts',
      find: "if (this.#used.has(ticket.jti)) return { ok: false, code: 'ticket-reused' }",
      replace: '',
    },
  ],
  '19-address-of-something-else': [
    {
      removes: 'an address lies in its zone',
      file: 'broker/inventory/addresses.ts',
      find: "if (holding.length === 0) return 'It lies in none of the zone’s ranges.'",
      replace: 'if (holding.length === 0) return null',
    },
    {
      removes: 'special addresses are named by nobody’s wide range',
      file: 'broker/inventory/addresses.ts',
      find: '    if (!named)\n',
      replace: '    if (false)\n',
    },
    {
      removes: 'a name’s answers are checked',
      file: 'broker/inventory/addresses.ts',
      find: "const why = ip ? whyOutside(ip, zone) : 'An answer is no address.'",
      replace: 'const why = ip ? null : String(zone)',
    },
    {
      removes: 'the gateway dials no place that no asset lives at',
      file: 'gateway/target/dial.ts',
      find: 'if (listed(NEVER, ip) || (!literal && listed(NEVER_BY_NAME, ip)))',
      replace: 'if (literal && false)',
    },
  ],
  '20-path-traversal': [
    {
      removes: 'only names that a build makes are files',
      file: 'broker/http/static-files.ts',
      find: 'if (NOT_PAGES.test(name) || !/^\\/[\\w@~.,/-]*$/.test(name) || /(^|\\/)\\./.test(name))',
      replace: 'if (NOT_PAGES.test(name))',
    },
    {
      removes: 'evidence has keys of one form',
      file: 'broker/link/evidence-upload.ts',
      find: "const match = OBJECT.exec(request.url ?? '')",
      replace:
        "const match = /^\\/link\\/v1\\/evidence\\/(([^/]+)\\/.*?(?:\\.(spr)|\\.(jwe)|(manifest)\\.jws|))$/.exec(request.url ?? '')",
    },
  ],
  '21-hostile-cast': [
    {
      removes: 'links of the far side are dead',
      file: 'web/session/terminal-view.ts',
      find: '    linkHandler: { activate: () => undefined },\n',
      replace: '',
    },
  ],
  '22-script-in-names': [
    {
      removes: 'no inline script',
      file: 'broker/http/security-headers.ts',
      find: `"script-src 'self' 'wasm-unsafe-eval'",`,
      replace: `"script-src 'self' 'wasm-unsafe-eval' 'unsafe-inline'",`,
    },
  ],
  '25-mixed-up-providers': [
    {
      removes: 'the answer names its issuer (RFC 9207)',
      file: 'broker/identity/oidc.ts',
      find: "const state = answer.searchParams.get('state') ?? ''",
      replace:
        "const state = answer.searchParams.get('state') ?? ''\n    answer.searchParams.set('iss', provider.issuer)",
    },
    {
      removes: 'a trip is the browser’s that began it',
      file: 'broker/identity/oidc.ts',
      find: "trip.browserHash.equals(this.#tokens.fingerprint('oidc-browser', browser))",
      replace: 'trip.browserHash.length > 0',
    },
    {
      removes: 'a state counts once',
      file: 'broker/identity/oidc.ts',
      find: '      DELETE FROM oidc_trip\n      WHERE state_hash',
      replace: '      UPDATE oidc_trip SET expires_at = expires_at\n      WHERE state_hash',
    },
    {
      removes: 'a trip is the provider’s that it went to',
      file: 'broker/identity/oidc.ts',
      // biome-ignore lint/suspicious/noTemplateCurlyInString: source text
      find: 'AND provider = ${provider.id}\n      RETURNING',
      // biome-ignore lint/suspicious/noTemplateCurlyInString: source text
      replace: 'AND ${provider.id} <> ${state}\n      RETURNING',
    },
  ],
  '26-leaver-inside': [
    {
      removes: 'a logout of the provider ends the sign-ins here',
      file: 'broker/identity/sign-in-flows.ts',
      find: "for (const row of rows) await signIns.end(tx, row.id, 'back-channel-logout')",
      replace: '',
    },
  ],
  '27-cross-site-request': [
    {
      removes: 'a request comes from our own pages',
      file: 'broker/http/app.ts',
      find: 'if (change && !fromServer) checkSameOrigin(request, options.origin)',
      replace: '',
    },
    {
      removes: 'a request carries the sign-in’s token',
      file: 'broker/http/app.ts',
      find: "return typeof sent === 'string' && constantTimeEqual(sent, signIns.csrfToken(token))",
      replace: "return typeof sent === 'string'",
    },
  ],
  '28-alarms': [
    {
      removes: 'alarms are seen by the people of their site',
      file: 'broker/identity/identity.ts',
      find: 'listAlarms(db.sql, 20, scope)',
      replace: 'listAlarms(db.sql, 20)',
    },
    {
      removes: 'alarms are acknowledged by the people of their site',
      file: 'broker/inventory/inventory.ts',
      find: "if (!may) throw notFound('open alarm')",
      replace: '',
    },
    {
      removes: 'an alarm is acknowledged after a fresh proof',
      file: 'broker/contract/api/inventory.ts',
      find: "    access: only('administrator', 'operator'),\n    stepUp: true,",
      replace: "    access: only('administrator', 'operator'),",
    },
  ],
  '28-other-vendors': [
    {
      removes: 'a vendor is not told of other work',
      file: 'approvals/views.ts',
      find: 'staff ? await overlapping(query, gathered) : []',
      replace: 'await overlapping(query, gathered)',
    },
    {
      removes: 'a vendor finds tickets about what they may ask for',
      file: 'approvals/routes.ts',
      find: 'if (principal.vendorId !== null && !(await namesAskable(sql, body.siteId, known.ticket.items)))',
      replace: 'if (false)',
    },
  ],
  '30-browser-that-does-not-read': [
    {
      removes: 'what waits for a browser is bounded',
      file: 'gateway/edge/web-socket-browser.ts',
      find: 'if (this.#ws.bufferedAmount <= SEND_LIMIT) return true',
      replace: 'if (this.#ws.bufferedAmount <= SEND_LIMIT * 1000) return true',
    },
  ],
  '30-strangers': [
    {
      removes: 'a stranger’s logout token is verified before a connection is taken',
      file: 'broker/identity/sign-in-flows.ts',
      find: `const { provider, subject, session, id } = await oidc.verifyLogout(providerId, token)
    await db.tx(async (tx) => {`,
      replace: `await db.tx(async (tx) => {
      const { provider, subject, session, id } = await oidc.verifyLogout(providerId, token)`,
    },
    {
      removes: 'upgrades of one address are limited',
      file: 'broker/link/browser-upgrade.ts',
      find: "if (rates.address.take(socket.remoteAddress ?? '') > 0) return refuseUpgrade(socket, 429, 'rate-limited')",
      replace: '',
    },
  ],
  '31-stop-by-the-vendor': [
    {
      removes: 'the kill switch is for operators and approvers',
      file: 'broker/contract/api/sessions.ts',
      find: "const operators = only('operator', 'approver')",
      replace: "const operators = only('operator', 'approver', 'vendor', 'auditor')",
    },
    {
      removes: 'the kill switch is for people of that site',
      file: 'broker/sessions/operators.ts',
      find: "return holds(principal, siteId, 'operator', 'approver')",
      replace: "return siteId !== '' && principal.vendorId === null",
    },
  ],
  '32-hostile-ssh': [
    {
      removes: 'a handshake has a deadline',
      file: 'gateway/ssh/open-ssh.ts',
      find: "this.#deadline = setTimeout(() => this.#fail('timed-out'), this.#times.handshakeTimeoutMs)",
      replace: '',
    },
    {
      removes: 'an error of the connection ends its own session',
      file: 'gateway/ssh/terminal-source.ts',
      find: "  client.on('error', close)\n",
      replace: '',
    },
  ],
  '32-hostile-vnc': [
    {
      removes: 'a rectangle lies inside the screen',
      file: 'gateway/desktop/vnc/decode/server-messages.ts',
      find: "      throw new Violation('a rectangle outside the screen')",
      replace: '      void 0',
    },
    {
      removes: 'the certificate is the pinned one',
      file: 'gateway/desktop/vnc/open-vnc.ts',
      find: 'if (identity && !isPinned(target.identities, identity))',
      replace: 'if (identity && target.identities.length === 0)',
    },
    {
      removes: 'painting leaves half of the thread to others',
      file: 'gateway/desktop/child/decoding-child.ts',
      find: 'performance.now() - began > TURN_MS',
      replace: 'performance.now() < began',
    },
    {
      removes: 'nothing weaker than what was approved',
      file: 'gateway/desktop/vnc/security.ts',
      find: 'STRENGTH[encryption] >= STRENGTH[rules.security],',
      replace: 'STRENGTH[encryption] >= 0,',
    },
  ],
  '33-typed-password': [
    {
      removes: 'input is sealed to the custodians alone',
      file: 'recordings/recorder/recording.ts',
      find: "this.inputStream = streamOf('input', [input, escrow], true)",
      replace: "this.inputStream = streamOf('input', [input, escrow, replay], true)",
    },
  ],
  '34-denied-approval': [
    {
      removes: 'the passkey’s signature is verified',
      file: 'recordings/verify/assertion.ts',
      find: "if (!key.verify(signed, Buffer.from(assertion.signature, 'base64url'))) {",
      replace: 'if (signed.length === 0) {',
    },
    {
      removes: 'the log names who approved, with which passkey',
      file: 'recordings/verify/check-approvals.ts',
      find: "if (entry.actor.kind !== 'person' || entry.actor.id !== approver.id || !sameKey) {",
      replace: 'if (!sameKey) {',
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
  '37-weak-ssh': [
    {
      removes: 'no CBC',
      file: 'gateway/ssh/algorithms.ts',
      find: "    'aes256-ctr',\n  ],",
      replace: "    'aes256-ctr',\n    'aes128-cbc',\n  ],",
    },
    {
      removes: 'no SHA-1',
      file: 'gateway/ssh/algorithms.ts',
      find: "    'diffie-hellman-group14-sha256',\n",
      replace: "    'diffie-hellman-group14-sha256',\n    'diffie-hellman-group14-sha1',\n",
    },
    {
      removes: 'no handshake that is open to truncation',
      file: 'gateway/ssh/algorithms.ts',
      find: "return cipher.startsWith('chacha20') || (!cipher.includes('gcm') && mac.includes('etm'))",
      replace: 'return cipher === mac',
    },
  ],
  '38-unsigned-evidence': [
    {
      removes: 'a manifest is signed by its gateway’s key',
      file: 'recordings/archive/sink.ts',
      find: `      if (key === null) return { refused: 'manifest-key-unknown' }
      const verified = await verifyJws(jws, JWS_TYPES.manifest, manifestSchema, key)
      if (!verified.ok) return { refused: verified.code }`,
      replace: '      const verified = { ...decoded, key }',
    },
  ],
  '39-revoked-inside': [
    {
      removes: 'a revocation reaches what runs',
      file: 'broker/broker.ts',
      find: 'identity.revocations.on((revoked) => void onRevoked(sessions, renewals, revoked).catch(failed)),',
      replace: '() => onRevoked,',
    },
    {
      removes: 'a disabled person’s sockets are closed',
      file: 'broker/sessions/revocations.ts',
      find: '      await revokeAll(sessions, renewals, found, revoked)\n    }\n  }',
      replace: '    }\n  }',
    },
  ],
  '40-any-certificate': [
    {
      removes: 'an identity provider’s certificate is checked',
      file: 'broker/identity/outbound-fetch.ts',
      find: 'rejectUnauthorized: true',
      replace: 'rejectUnauthorized: false',
    },
  ],
  '41-console-taken-over': [
    {
      removes: 'an opening needs an operator’s word',
      file: 'broker/policy/decide-access.ts',
      find: "facts.purpose === 'open' && asset.operatorsUseConsole",
      replace: 'false',
    },
    {
      removes: 'a word runs out',
      file: 'broker/policy/decide-access.ts',
      find: 'at >= ready.expiresAt || ',
      replace: '',
    },
    {
      removes: 'a word is about one version of the request',
      file: 'approvals/gather-facts.ts',
      find: 'row?.requestVersion === request.version ? row : null',
      replace: 'row',
    },
    {
      removes: 'a word is used once',
      file: 'broker/sessions/console-ready.ts',
      find: '!row || row.endedAt !== null ||',
      replace: '!row ||',
    },
    {
      removes: 'a word comes from no vendor, and not from who opens',
      file: 'approvals/console.ts',
      find: '!operates || principal.vendorId !== null || row.requester_id === principal.personId',
      replace: '!operates',
    },
    {
      removes: 'a word comes from an operator of the site',
      file: 'approvals/console.ts',
      find: "row && holds(principal, row.site_id, 'operator', 'approver')",
      replace: 'row',
    },
    {
      removes: 'a word of somebody who is of a vendor by now does not count',
      file: 'broker/policy/decide-access.ts',
      find: 'by.vendorId !== null || ',
      replace: '',
    },
    {
      removes: 'the log vouches for words',
      file: 'approvals/gather-facts.ts',
      find: "(word ? [{ kind: 'console-ready', id: word.id, current: canonicalReady(word) }] : [])",
      replace: '[]',
    },
    {
      removes: 'the log vouches for the asset’s mark',
      file: 'broker/inventory/rows.ts',
      find: '...(row.operatorsUseConsole ? { operatorsUseConsole: true } : {}),',
      replace: '',
    },
  ],
}
