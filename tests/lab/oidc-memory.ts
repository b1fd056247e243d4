import type { Adapter, AdapterPayload } from 'oidc-provider'

/** What the lab's identity provider remembers, for as long as the process runs; one map a provider. */
export function memoryAdapter(): (model: string) => Adapter {
  const kept = new Map<string, { payload: AdapterPayload; until: number }>()
  const live = (key: string) => {
    const found = kept.get(key)
    if (!found || found.until < Date.now()) return undefined
    return found.payload
  }
  return (model) => {
    const by = (matches: (payload: AdapterPayload) => boolean) => {
      for (const key of kept.keys()) {
        const payload = key.startsWith(`${model}:`) ? live(key) : undefined
        if (payload && matches(payload)) return payload
      }
      return undefined
    }
    return {
      upsert: async (id, payload, expiresIn) => {
        kept.set(`${model}:${id}`, { payload, until: Date.now() + (expiresIn ?? 3600) * 1000 })
      },
      find: async (id) => live(`${model}:${id}`),
      findByUid: async (uid) => by((payload) => payload.uid === uid),
      findByUserCode: async (code) => by((payload) => payload.userCode === code),
      consume: async (id) => {
        const payload = live(`${model}:${id}`)
        if (payload) payload.consumed = Math.floor(Date.now() / 1000)
      },
      destroy: async (id) => {
        kept.delete(`${model}:${id}`)
      },
      revokeByGrantId: async (grant) => {
        // Of this kind alone: a sign-in that changes the account revokes the old grant in the midst of its interaction.
        for (const [key, { payload }] of kept)
          if (key.startsWith(`${model}:`) && payload.grantId === grant) kept.delete(key)
      },
    }
  }
}
