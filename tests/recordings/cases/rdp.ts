import type { Grant } from '../../../broker/domain/grant.ts'
import type { Plan } from '../fixture.ts'
import { desktop } from '../fixture-desktop.ts'
import { type Case, invalid, valid } from './case.ts'

/** A desktop session over RDP; `change` alters its grant before it is signed. */
function rdp(change: (grant: Grant) => void = () => {}, more: Plan = {}): Plan {
  return desktop(() => {}, {
    ...more,
    snapshot: (snapshot) => {
      snapshot.protocol = 'rdp'
    },
    grant: (grant) => {
      grant.protocol = 'rdp'
      grant.rdp = { security: 'nla' }
      delete grant.vnc
      change(grant)
    },
  })
}

/** A grant that the format refuses. */
const refused = (name: string, plan: Plan): Case =>
  invalid(name, { authority: 'jws-payload', 'input-window': 'input-window-unknown' }, plan)

/** Desktops over RDP: recorded as VNC's are, under a grant that says how the session signed in and pins a certificate. */
export const RDP: Case[] = [
  valid('valid-desktop-rdp', rdp()),
  valid(
    'valid-desktop-rdp-without-nla',
    rdp((grant) => {
      grant.rdp = { security: 'tls' }
    }),
  ),
  invalid(
    'rdp-without-certificate',
    { authority: 'target-mismatch' },
    rdp(() => {}, {
      header: (header) => {
        header.target = { kind: 'none' }
      },
    }),
  ),
  refused(
    'rdp-pins-nothing',
    rdp(
      (grant) => {
        grant.identities = []
      },
      {
        header: (header) => {
          header.target = { kind: 'none' }
        },
      },
    ),
  ),
  refused(
    'rdp-sign-in-not-said',
    rdp((grant) => {
      delete grant.rdp
    }),
  ),
  refused(
    'rdp-protected-like-vnc',
    rdp((grant) => {
      grant.vnc = { security: 'x509', authentication: 'password' }
    }),
  ),
]
