import { systemClock } from '../broker/domain/clock.ts'
import type { Probed } from '../broker/domain/vnc.ts'
import type { Protocol } from '../broker/domain/words.ts'
import { probeRdp } from './desktop/rdp/probe.ts'
import { probeVnc } from './desktop/vnc/probe.ts'
import { probeSsh } from './ssh/probe.ts'

type Answer = ({ ok: true } & Probed) | { ok: false; code: string }
type Probe = (address: { host: string; port: number }) => Promise<Answer>

const PROBES: Record<Protocol, Probe> = {
  ssh: async (address) => {
    const answer = await probeSsh(address)
    return answer.ok ? { ...answer, vnc: null, rdp: null } : answer
  },
  vnc: async (address) => {
    const answer = await probeVnc(address, systemClock)
    return answer.ok ? { ...answer, rdp: null } : answer
  },
  rdp: async (address) => {
    const answer = await probeRdp(address, systemClock)
    return answer.ok ? { ...answer, vnc: null } : answer
  },
}

/** What an asset shows of itself, for an administrator to accept. */
export function probeTarget(protocol: Protocol, address: { host: string; port: number }): Promise<Answer> {
  return PROBES[protocol](address)
}
