import { z } from 'zod'
import { base64url } from '../../broker/contract/approval-record.ts'
import { sha256Hex, uuid } from '../../broker/contract/audit-entry.ts'
import {
  CRITICALITIES,
  ENDING_MODES,
  FEATURES,
  PROTOCOLS,
  RDP_SECURITIES,
  VNC_AUTHENTICATIONS,
  VNC_SECURITIES,
} from '../../broker/domain/words.ts'
import { count, word } from './fields.ts'

/** A grant as a gateway and a verifier accept it: every field known, none missing, each in its bounds. */
const publicKey = z
  .strictObject({
    kty: z.enum(['EC', 'OKP']),
    crv: z.enum(['P-256', 'X25519', 'Ed25519']),
    x: base64url(32),
    y: base64url(32).optional(),
    kid: word(200),
  })
  .refine(
    (key) => (key.kty === 'EC') === (key.crv === 'P-256') && (key.kty === 'EC') === (key.y !== undefined),
    {
      message: 'kty, crv and y belong together',
    },
  )

export const grantSchema = z
  .strictObject({
    v: z.literal(1),
    jti: uuid,
    serial: z.number().int().min(1).max(10_000),
    iat: count,
    exp: count,
    deployment: uuid,
    session: uuid,
    recording: uuid,
    gateway: uuid,
    site: z.strictObject({ id: uuid, name: word(200), timeZone: word(64) }),
    asset: z.strictObject({ id: uuid, name: word(200), criticality: z.enum(CRITICALITIES), hash: sha256Hex }),
    endpoint: uuid,
    protocol: z.enum(PROTOCOLS),
    address: z.strictObject({ host: word(255), port: z.number().int().min(1).max(65_535) }),
    identities: z.array(z.strictObject({ algorithm: word(64), fingerprint: word(128) })).max(16),
    vnc: z
      .strictObject({ security: z.enum(VNC_SECURITIES), authentication: z.enum(VNC_AUTHENTICATIONS) })
      .optional(),
    rdp: z.strictObject({ security: z.enum(RDP_SECURITIES) }).optional(),
    account: word(64),
    features: z.array(z.enum(FEATURES)).max(FEATURES.length),
    viewOnly: z.boolean(),
    person: z.strictObject({ id: uuid, pseudonym: word(200), name: word(200), company: word(200) }),
    request: z.strictObject({
      id: uuid,
      version: z.number().int().min(1),
      ticketKey: word(80),
      purpose: word(500),
    }),
    snapshotHash: sha256Hex,
    approvals: z.array(sha256Hex).max(64),
    policyHash: sha256Hex,
    ending: z.strictObject({
      mode: z.enum(ENDING_MODES),
      holdSeconds: z.number().int().min(0).max(1800),
      inputDuringGrace: z.boolean(),
    }),
    idleSeconds: z.number().int().min(0).max(86_400),
    browserHoldSeconds: z.number().int().min(0).max(3600),
    recordingKeys: z.strictObject({ replay: publicKey, input: publicKey, escrow: publicKey }),
  })
  .refine((grant) => grant.exp > grant.iat, { path: ['exp'], message: 'after iat' })
  .refine((grant) => grant.protocol === 'vnc' || grant.vnc === undefined, {
    path: ['vnc'],
    message: 'only with protocol vnc',
  })
  .refine((grant) => (grant.protocol === 'rdp') === (grant.rdp !== undefined), {
    path: ['rdp'],
    message: 'with protocol rdp, and only there',
  })
  .refine((grant) => grant.protocol !== 'rdp' || grant.identities.length > 0, {
    path: ['identities'],
    message: 'an RDP server has a certificate: it is pinned',
  })
