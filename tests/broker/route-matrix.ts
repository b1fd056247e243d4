import { api, type RouteKey } from '../../broker/contract/api/index.ts'
import type { RouteSpec } from '../../broker/contract/route.ts'
import { newId } from '../../broker/domain/ids.ts'
import { ROLES, type Role } from '../../broker/domain/words.ts'
import type { ApiClient } from '../lab/api-client.ts'

export interface MatrixOptions {
  anonymous: ApiClient
  /** Signed in, without any role. */
  roleless: ApiClient
  /** One for every role, held at the other site only; freshly signed in. */
  elsewhere: Record<Role, ApiClient>
  /** Values of path parameters per route that name real objects of the first site; others get a fresh UUID. */
  params?: Partial<Record<RouteKey, Record<string, string | number>>>
  /** Bodies that would be right for somebody who may. */
  bodies?: Partial<Record<RouteKey, object>>
  /** Words of the first site that must not be in any answer to the callers of the other site. */
  secrets: readonly string[]
}

export interface Cell {
  key: RouteKey
  caller: string
  status: number
  code: string | null
  /** Null: as it should be. */
  wrong: string | null
}

/** Routes that stay open for a while (event streams, sockets): asked only by callers who must be refused. */
const STREAMS = new Set<RouteKey>(['GET /api/events', 'GET /ws/sessions/:id'])
/** What everybody may read: their own name, the ways to sign in. Not about a site's objects. */
const NO_OBJECT = new Set<RouteKey>(['POST /api/sign-out'])
/** The access gate's answer, and how an object check says no. A stub of a test says 418. */
const REFUSED = new Set([400, 401, 403, 404, 409, 418])

/**
 * Every route of the contract x every kind of caller who has no business there (threat 28). Generated: a new route is
 * in it without anybody thinking of it.
 */
export async function routeMatrix(options: MatrixOptions): Promise<Cell[]> {
  const cells: Cell[] = []
  for (const key of Object.keys(api) as RouteKey[]) {
    const spec: RouteSpec = api[key]
    if (spec.access.who === 'public') continue
    const ask = async (client: ApiClient) => {
      const [method = '', pattern = ''] = key.split(' ')
      const given = options.params?.[key] ?? {}
      const path = pattern.replace(/:([A-Za-z]+)/g, (_all, name: string) =>
        encodeURIComponent(String(given[name] ?? defaultParam(name))),
      )
      const body = spec.body ? (options.bodies?.[key] ?? {}) : undefined
      const answer = await client.fetch(method, path, body)
      const code = (answer.body as { code?: string } | null)?.code ?? null
      return { status: answer.status, code, text: answer.raw.toString() }
    }
    const note = (caller: string, answer: { status: number; code: string | null }, wrong: string | null) =>
      cells.push({ key, caller, status: answer.status, code: answer.code, wrong })

    const anonymous = await ask(options.anonymous)
    note('anonymous', anonymous, anonymous.status === 401 ? null : 'expected 401')

    if (spec.access.who === 'roles') {
      const roleless = await ask(options.roleless)
      note('signed in without a role', roleless, isRoleNeeded(roleless) ? null : 'expected 403 role-needed')
    }
    for (const role of ROLES) {
      const caller = `${role} of another site`
      const allowed = spec.access.who === 'signed-in' || spec.access.roles.includes(role)
      if (!allowed) {
        const refused = await ask(options.elsewhere[role])
        note(caller, refused, isRoleNeeded(refused) ? null : 'expected 403 role-needed')
        continue
      }
      if (STREAMS.has(key) || NO_OBJECT.has(key)) continue
      const answer = await ask(options.elsewhere[role])
      const leak = options.secrets.find((secret) => answer.text.includes(secret))
      const names = key.includes('/:id') || options.bodies?.[key] !== undefined
      note(
        caller,
        answer,
        leak !== undefined
          ? `tells "${leak}" of the other site`
          : answer.status >= 500
            ? 'failed'
            : options.params?.[key] !== undefined && answer.code === 'invalid-input'
              ? 'proves nothing: the body was refused before the object was looked at'
              : names && !REFUSED.has(answer.status)
                ? 'reached an object of the other site'
                : null,
      )
    }
  }
  return cells
}

function isRoleNeeded(answer: { status: number; code: string | null }): boolean {
  return answer.status === 403 && answer.code === 'role-needed'
}

function defaultParam(name: string): string | number {
  switch (name) {
    case 'account':
      return 'engineer'
    case 'segment':
    case 'index':
      return 0
    case 'criticality':
      return 'C2'
    default:
      return newId()
  }
}
