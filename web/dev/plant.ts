import type { Answer } from '../../broker/contract/api/index.ts'

/** A small believable plant for looking at the pages. Typed by the contract; never part of the build. */
export const newId = (): string => crypto.randomUUID()
export const H = 3_600_000
export const M = 60_000
const now = Date.now()
export const iso = (at: number) => new Date(at).toISOString()
const hash = 'a3f1c09e5b7d42688f0c1e2d3b4a59687f6e5d4c3b2a19080716253443526170'

export type Session = Answer<'GET /api/sessions/:id'>
export type Request = Answer<'GET /api/requests/:id'>
export type Asset = Answer<'GET /api/assets/:id'>
export type Me = Answer<'GET /api/me'>

export const berlin = { id: newId(), name: 'Falkensee press shop', timeZone: 'Europe/Berlin' }
export const gary = { id: newId(), name: 'Gary rolling mill', timeZone: 'America/Chicago' }
const keller = { id: newId(), name: 'Keller Robotics' }
const ostermann = { id: newId(), name: 'Ostermann Drives' }

export const people = {
  dana: { id: newId(), name: 'Dana Whitfield', company: keller.name },
  tomas: { id: newId(), name: 'Tomas Lindqvist', company: ostermann.name },
  maria: { id: newId(), name: 'Maria Brandt' },
  jonas: { id: newId(), name: 'Jonas Vogel' },
  aylin: { id: newId(), name: 'Aylin Demir' },
  root: { id: newId(), name: 'Peter Hagen' },
}

export type RoleName = 'vendor' | 'approver' | 'operator' | 'auditor' | 'administrator'
export function me(role: RoleName, options: { alarms?: boolean } = {}): Me {
  const site = (which: typeof berlin) => ({ id: which.id, name: which.name })
  const who = {
    vendor: people.dana,
    approver: people.maria,
    operator: people.jonas,
    auditor: people.aylin,
    administrator: people.root,
  }[role]
  return {
    person: {
      id: who.id,
      name: who.name,
      email: `${who.name.toLowerCase().replace(' ', '.')}@example.net`,
      vendor: role === 'vendor' ? keller : null,
      signedInWith: role === 'vendor' ? 'Keller sign-in' : 'passkey',
    },
    roles:
      role === 'administrator'
        ? [{ role, site: null }]
        : [
            { role, site: site(berlin) },
            ...(role === 'auditor' || role === 'operator' ? [{ role, site: site(gary) }] : []),
            ...(role === 'approver' ? [{ role: 'operator' as const, site: site(berlin) }] : []),
          ],
    sites: role === 'vendor' || role === 'approver' ? [berlin] : [berlin, gary],
    csrf: 'fixture-csrf-token',
    stepUpUntil: null,
    signingPasskey: role === 'approver',
    alarms: options.alarms
      ? [
          {
            id: newId(),
            kind: 'storage',
            message: 'Recording store below its reserve at Gary rolling mill: no new session opens there.',
            since: iso(now - 23 * M),
            acknowledgedBy: null,
          },
          {
            id: newId(),
            kind: 'clock',
            message: 'The clock of gw-falkensee-1 is 41 s apart from the broker’s.',
            since: iso(now - 90 * M),
            acknowledgedBy: 'Peter Hagen',
          },
        ]
      : [],
  }
}

const at = <T>(list: readonly T[], place: number): T => {
  const found = list[place]
  if (found === undefined) throw new RangeError('fixture')
  return found
}

const ending = { mode: 'operator-confirm' as const, holdSeconds: 1800, inputDuringGrace: false }
export const assets: Asset[] = [
  asset(
    'Robot cell 4, controller',
    'robot',
    'C2',
    'Welding robot of line B, tool change station',
    'Cell 4',
    'M. Brandt',
  ),
  asset('Press 2, PLC', 'plc', 'C2', '2,500 t transfer press, main controller', 'Press line', 'R. Albrecht'),
  asset(
    'Press 2, light curtain',
    'sis',
    'C1',
    'Safety controller of the press guard',
    'Press line safety',
    'R. Albrecht',
  ),
  asset(
    'Engineering station B',
    'engineering-station',
    'C3',
    'Linux station with the robot tool chain',
    'Cell 4',
    'M. Brandt',
  ),
  asset('Line historian', 'historian', 'C3', 'Process values of lines A to C', 'Plant DMZ', 'IT operations'),
]
function asset(
  name: string,
  type: Asset['type'],
  criticality: Asset['criticality'],
  description: string,
  zone: string,
  owner: string,
): Asset {
  const id = newId()
  const complete = !name.startsWith('Line')
  return {
    id,
    site: { id: berlin.id, name: berlin.name },
    zone: { id: newId(), name: zone },
    gateway: { id: newId(), name: 'gw-falkensee-1' },
    name,
    description,
    type,
    criticality,
    owner,
    address: `10.20.4.${10 + name.length}`,
    enabled: true,
    operatorsUseConsole: false,
    ending,
    consequence: { safety: 3, availability: 3, integrity: 2, confidentiality: 1, regulatory: 1 },
    hazard:
      'The robot may move while somebody stands in the cell. The cell is locked out during work on the controller.',
    compensatingControls: 'Cell locked out, key with the shift lead',
    lastVerifiedAt: iso(now - 40 * 24 * H),
    incomplete: complete ? [] : ['credential', 'host key'],
    endpoints: [
      {
        id: newId(),
        protocol: 'ssh',
        port: 22,
        vnc: null,
        rdp: null,
        deviations: [],
        accounts: [{ name: 'service', credential: complete ? 'private-key' : 'missing' }],
        identity: {
          state: complete ? 'accepted' : 'none',
          accepted: complete
            ? [
                {
                  algorithm: 'ssh-ed25519',
                  fingerprint: 'SHA256:uN8kq2yXrZ7nQm0LrYl8aY1J4oGk0Q0mGmX2cFq8o5E',
                },
              ]
            : [],
          seen: complete
            ? null
            : { algorithm: 'ssh-ed25519', fingerprint: 'SHA256:0aLk3yXrZ7nQm0LrYl8aY1J4oGk0Q0mGmX2cFq8o5E' },
          seenAt: iso(now - 3 * H),
        },
      },
    ],
  }
}
export type Exception = Answer<'GET /api/exceptions'>['items'][number]
const DAY = 24 * H
/** A panel that knows no encryption: one deviation accepted for a while, one not. */
export const panel: Asset = {
  ...asset(
    'Press 2, operator panel',
    'hmi',
    'C3',
    'Touch panel at the press, software of 2009',
    'Press line',
    'R. Albrecht',
  ),
  incomplete: ['an exception for no server identity (vnc port 5900)'],
  endpoints: [
    {
      id: newId(),
      protocol: 'vnc',
      port: 5900,
      vnc: {
        security: 'plain',
        authentication: 'password',
        seen: { security: 'plain', authentication: 'password', at: iso(now - 3 * H) },
      },
      rdp: null,
      deviations: [
        {
          kind: 'no-encryption',
          exception: { id: newId(), state: 'open', expiresAt: iso(now + 21 * DAY) },
        },
        { kind: 'no-server-identity', exception: null },
      ],
      accounts: [{ name: 'vnc', credential: 'password' }],
      identity: { state: 'none', accepted: [], seen: null, seenAt: null },
    },
  ],
}
assets.push(panel)
/** A Windows console that operators stand before, reached over RDP without NLA. */
export const station: Asset = {
  ...asset(
    'Press 2, operator station',
    'hmi',
    'C3',
    'Windows station at the press, used by every shift',
    'Press line',
    'R. Albrecht',
  ),
  operatorsUseConsole: true,
  endpoints: [
    {
      id: newId(),
      protocol: 'rdp',
      port: 3389,
      vnc: null,
      rdp: { security: 'tls', seen: { security: 'nla', at: iso(now - 2 * H) } },
      deviations: [],
      accounts: [{ name: 'PRESS2\\service', credential: 'password' }],
      identity: {
        state: 'accepted',
        accepted: [
          { algorithm: 'x509-sha256', fingerprint: 'SHA256:uN8kq2yXrZ7nQm0LrYl8aY1J4oGk0Q0mGmX2cFq8o5E' },
        ],
        seen: null,
        seenAt: iso(now - 2 * H),
      },
    },
  ],
}
assets.push(station)

export const exceptions: Exception[] = [
  exception('no-encryption', {}),
  exception('no-authentication', {
    asset: { id: at(assets, 0).id, name: at(assets, 0).name },
    reason: 'The teach pendant has no password; its maker gives none.',
    expiresAt: iso(now + 140 * DAY),
    owner: { ...people.maria, enabled: true },
  }),
  exception('no-server-identity', {
    asset: { id: at(assets, 4).id, name: at(assets, 4).name },
    state: 'expired',
    expiresAt: iso(now - 2 * DAY),
    owner: { ...people.jonas, enabled: false },
  }),
  exception('no-encryption', {
    asset: { id: at(assets, 3).id, name: at(assets, 3).name },
    state: 'closed',
    closed: { at: iso(now - 9 * DAY), by: people.jonas, reason: 'The station got a certificate' },
  }),
]
function exception(kind: Exception['kind'], more: Partial<Exception>): Exception {
  return {
    id: newId(),
    site: berlin,
    asset: { id: panel.id, name: panel.name },
    endpoint: { id: at(panel.endpoints, 0).id, protocol: 'vnc', port: 5900 },
    kind,
    state: 'open',
    counts: true,
    reason: 'The panel knows no encryption; its successor comes with the refit of the line in spring.',
    compensatingControl: 'In a network of its own with the gateway; no other port leads there.',
    owner: { id: newId(), name: 'Rolf Albrecht', enabled: true },
    expiresAt: iso(now + 21 * DAY),
    openedAt: iso(now - 60 * DAY),
    openedBy: people.jonas,
    closed: null,
    ...more,
  }
}

export const ticket = (key: string, title: string, from: number, to: number): Request['ticket'] => ({
  system: 'Change export',
  key,
  title,
  state: 'approved',
  plannedStart: iso(from),
  plannedEnd: iso(to),
  items: ['ROB-B4-CTRL'],
  link: null,
  fetchedAt: iso(now - 4 * M),
  hash,
})

const card = (index: number): Request['asset'] => {
  const a = at(assets, index)
  return {
    id: a.id,
    name: a.name,
    type: a.type,
    description: a.description,
    criticality: a.criticality,
    site: berlin,
    zone: a.zone.name,
  }
}

function request(
  index: number,
  purpose: string,
  key: string,
  window: [number, number],
  more: Partial<Request>,
): Request {
  return {
    id: newId(),
    version: 1,
    state: 'waiting',
    snapshotHash: hash,
    requester: { ...people.dana, lastVisitAt: iso(now - 19 * 24 * H), visits: 6 },
    asset: card(index),
    hazard: at(assets, index).hazard,
    zonePath: `Enterprise DMZ › Plant DMZ › ${at(assets, index).zone.name}`,
    endpoint: { id: at(at(assets, index).endpoints, 0).id, protocol: 'ssh' },
    deviations: [],
    account: 'service',
    features: ['clipboard-paste'],
    purpose,
    ticket: ticket(key, purpose, window[0] - 1.5 * H, window[1] + 1 * H),
    window: { opensAt: iso(window[0]), closesAt: iso(window[1]) },
    ending,
    approvals: [],
    need: { count: 1, roles: ['approver'] },
    risks: [],
    otherWork: [],
    decision: {
      permitted: false,
      until: null,
      lines: [
        line(
          'approvals-missing',
          false,
          'It waits for an approval: 0 of 1.',
          'An approver of Falkensee press shop gives it',
        ),
        line('ticket', true, `${key} is approved and names this asset.`, null),
        line('training', true, 'Your training is valid until 30 Jun 2027.', null),
        line('conduit', true, 'A conduit leads from the plant DMZ to this zone.', null),
      ],
    },
    session: null,
    console: null,
    createdAt: iso(now - 50 * M),
    ...more,
  }
}
export const line = (code: string, holds: boolean, text: string, who: string | null) => ({
  code,
  holds,
  text,
  who,
  facts: {},
})

const quarter = (t: number) => Math.round(t / (15 * M)) * 15 * M
const granted = (name: string): Request['approvals'][number] => ({
  id: newId(),
  decision: 'granted',
  by: { id: newId(), name, role: 'approver' },
  at: iso(now - 20 * M),
  constraints: {},
  reason: null,
  withdrawnAt: null,
})

export const liveSessionId = newId()
export const requests: Request[] = [
  request(
    0,
    'Replace the spindle drive firmware after last week’s vibration alarms',
    'CHG0031877',
    [quarter(now - 1.2 * H), quarter(now + 2.1 * H)],
    {
      state: 'approved',
      approvals: [granted('Maria Brandt')],
      decision: { permitted: true, until: iso(quarter(now + 2.1 * H)), lines: [] },
      session: { id: liveSessionId, state: 'live' },
    },
  ),
  request(
    3,
    'Update the robot tool chain to 9.2 and restore the cell backups',
    'CHG0031902',
    [quarter(now - 0.3 * H), quarter(now + 3 * H)],
    {
      state: 'approved',
      approvals: [granted('Maria Brandt')],
      decision: { permitted: true, until: iso(quarter(now + 3 * H)), lines: [] },
    },
  ),
  request(
    1,
    'Read the diagnostic buffer and tune the ram parallelism parameters',
    'CHG0031840',
    [quarter(now + 27 * H), quarter(now + 31 * H)],
    {
      state: 'approved',
      approvals: [granted('Maria Brandt')],
      decision: {
        permitted: false,
        until: null,
        lines: [line('window-not-open', false, 'The window is not open yet.', null)],
      },
    },
  ),
  request(
    2,
    'Change the muting times of the light curtain after the die change',
    'CHG0031911',
    [quarter(now + 9 * H), quarter(now + 13 * H)],
    {
      need: { count: 2, roles: ['approver'] },
      approvals: [granted('Rolf Albrecht')],
      risks: [
        'C1 safety: two people decide',
        'First time that this person reaches this asset',
        'Work on the neighbouring press overlaps from 03:00',
      ],
      otherWork: [
        {
          asset: 'Press 2, PLC',
          company: 'Ostermann Drives',
          opensAt: iso(quarter(now + 11 * H)),
          closesAt: iso(quarter(now + 15 * H)),
        },
      ],
      features: ['clipboard-copy', 'clipboard-paste'],
      deviations: [
        {
          kind: 'no-encryption',
          exception: {
            reason:
              'The panel knows no encryption; its successor comes with the refit of the line in spring.',
            compensatingControl: 'In a network of its own with the gateway; no other port leads there.',
            owner: 'Rolf Albrecht',
            expiresAt: iso(now + 21 * 24 * H),
          },
        },
        { kind: 'no-server-identity', exception: null },
      ],
      decision: {
        permitted: false,
        until: null,
        lines: [
          line(
            'approvals-missing',
            false,
            'It waits for an approval: 1 of 2.',
            'An approver of Falkensee press shop gives it',
          ),
          line('ticket', true, 'CHG0031911 is approved.', null),
        ],
      },
    },
  ),
  request(
    6,
    'Restore the recipe client after the disk was replaced',
    'CHG0031960',
    [quarter(now - 0.4 * H), quarter(now + 2 * H)],
    {
      endpoint: { id: at(station.endpoints, 0).id, protocol: 'rdp' },
      account: 'PRESS2\\service',
      state: 'approved',
      approvals: [granted('Maria Brandt')],
      risks: [
        'Opening takes the console away from whoever stands before it.',
        'The sign-in happens without Network Level Authentication.',
      ],
      decision: {
        permitted: true,
        until: iso(quarter(now + 2 * H)),
        lines: [line('asset', true, 'The asset is ready for a session.', null)],
      },
      console: { askedAt: null, ready: null },
    },
  ),
  request(
    4,
    'Move the historian archive to the new volume',
    'CHG0031796',
    [quarter(now - 50 * H), quarter(now - 46 * H)],
    {
      state: 'ended',
      approvals: [granted('Maria Brandt')],
    },
  ),
]

/** The one whose vendor waits for the console. */
export const atConsole = at(
  requests.filter((each) => each.console !== null),
  0,
)
export const consoles: Answer<'GET /api/consoles'> = [
  {
    requestId: atConsole.id,
    asset: { id: station.id, name: station.name, criticality: station.criticality },
    site: berlin,
    person: people.dana,
    ticketKey: atConsole.ticket.key,
    purpose: atConsole.purpose,
    windowEndsAt: atConsole.window.closesAt,
    askedAt: iso(now - 2 * M),
    ready: null,
  },
]

export function session(more: Partial<Session>): Session {
  return {
    id: newId(),
    requestId: at(requests, 0).id,
    recordingId: newId(),
    state: 'live',
    inputFrozen: false,
    cause: null,
    by: null,
    asset: { id: card(0).id, name: card(0).name, criticality: 'C2', site: berlin, zone: 'Cell 4' },
    protocol: 'ssh',
    account: 'service',
    features: ['clipboard-paste'],
    person: people.dana,
    ticketKey: 'CHG0031877',
    purpose: at(requests, 0).purpose,
    startedAt: iso(now - 48 * M),
    permitEndsAt: at(requests, 0).window.closesAt,
    holdEndsAt: null,
    endedAt: null,
    end: null,
    endMessage: null,
    endedBy: null,
    closedAfterMs: null,
    watchers: ['Jonas Vogel'],
    closingNote: null,
    holdStands: false,
    recording: 'running',
    ...more,
  }
}
const siteAsset = (index: number): Session['asset'] => ({
  id: card(index).id,
  name: card(index).name,
  criticality: card(index).criticality,
  site: berlin,
  zone: card(index).zone,
})
export const live: Session[] = [
  session({ id: liveSessionId }),
  session({
    asset: siteAsset(1),
    person: people.tomas,
    ticketKey: 'CHG0031855',
    purpose: 'Tune the press drive after the belt change',
    state: 'held',
    inputFrozen: true,
    cause: 'Somebody is in the cell.',
    by: 'Jonas Vogel',
    watchers: [],
    permitEndsAt: iso(now + 41 * M),
  }),
  session({
    asset: siteAsset(3),
    person: { ...people.tomas, name: 'Ines Farkas' },
    ticketKey: 'CHG0031860',
    purpose: 'Install the vision licence',
    permitEndsAt: iso(now + 9 * M),
    watchers: [],
  }),
]
export const past: Session[] = (
  [
    ['vendor-left', 'complete', 0, null],
    ['window-closed', 'complete', 1, 'Drive firmware 4.2.1 to 4.3.0, parameters restored'],
    ['operator-stopped', 'complete', 3, null],
    ['gateway-stopped', 'recovered', 0, null],
    ['idle', 'complete', 3, 'Nothing changed, only logs read'],
    ['asset-lost', 'missing', 1, null],
  ] as const
).map(([end, recording, index, closingNote], place) =>
  session({
    asset: siteAsset(index),
    person: place % 2 ? people.tomas : people.dana,
    state: 'closed',
    end,
    recording,
    closingNote,
    watchers: [],
    startedAt: iso(now - (place + 1) * 26 * H),
    endedAt: iso(now - (place + 1) * 26 * H + (20 + place * 17) * M),
    permitEndsAt: iso(now - (place + 1) * 26 * H + 60 * M),
    ticketKey: `CHG00317${90 - place}`,
  }),
)

export const extension: Answer<'GET /api/extensions'>[number] = {
  id: newId(),
  sessionId: liveSessionId,
  requestId: at(requests, 0).id,
  state: 'waiting',
  minutes: 30,
  newEnd: iso(now + 2.6 * H),
  reason: 'Firmware transfer at 60%, stopping now would leave the drive without a boot image',
  askedBy: 'Dana Whitfield',
  askedAt: iso(now - 2 * M),
  asset: card(0).name,
  company: keller.name,
}
export const vendors: Answer<'GET /api/vendors'> = [keller, ostermann].map((vendor, place) => ({
  ...vendor,
  enabled: place === 0,
  contractEndsAt: iso(now + (place ? -3 : 200) * 24 * H),
  sponsor: people.maria,
  tier: '1',
  people: 4 - place,
}))
export const persons: Answer<'GET /api/people'>['items'] = [
  person(people.dana, keller, 'vendor'),
  person(people.tomas, ostermann, 'vendor'),
  person(people.maria, null, 'approver'),
  person(people.jonas, null, 'operator'),
  person(people.aylin, null, 'auditor'),
]
function person(
  who: { id: string; name: string },
  vendor: { id: string; name: string } | null,
  role: RoleName,
): Answer<'GET /api/people'>['items'][number] {
  return {
    id: who.id,
    name: who.name,
    email: `${who.name.toLowerCase().replace(' ', '.')}@example.net`,
    issuer: vendor ? 'https://login.keller.example' : 'local',
    subject: who.id,
    vendor,
    enabled: true,
    accountEndsAt: vendor ? iso(now + 120 * 24 * H) : null,
    trainingValidUntil: iso(now + 220 * 24 * H),
    lastSignInAt: iso(now - 2 * H),
    roles: [{ role, siteId: berlin.id }],
    passkeys: [
      {
        id: newId(),
        label: 'Phone',
        createdAt: iso(now - 90 * 24 * H),
        lastUsedAt: iso(now - 2 * H),
        confirmedBy: 'Peter Hagen',
        backedUp: true,
      },
      ...(role === 'approver'
        ? [
            {
              id: newId(),
              label: 'Security key in the office',
              createdAt: iso(now - 2 * H),
              lastUsedAt: null,
              confirmedBy: null,
              backedUp: false,
            },
          ]
        : []),
    ],
  }
}
