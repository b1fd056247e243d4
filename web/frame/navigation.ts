import {
  IconBuildingFactory2,
  IconChecklist,
  IconClipboardList,
  IconDeviceDesktopAnalytics,
  IconFileCertificate,
  IconHistory,
  IconListDetails,
  IconMapPin,
  IconPlus,
  IconRouter,
  IconScale,
  IconServer2,
  IconShieldCheck,
  IconShieldExclamation,
  IconUser,
  IconUsers,
} from '@tabler/icons-react'
import type { Role } from '../../broker/domain/words.ts'
import type { Me } from '../shared/me.ts'
import { ROLE } from '../shared/words.ts'

export interface Entry {
  to: string
  label: string
  /** For the bar at the bottom of a phone, where two words do not fit. */
  short?: string
  icon: typeof IconPlus
}
export interface NavigationGroup {
  role: Role
  title: string
  entries: Entry[]
}

/** At most six entries a role; only pages that exist. */
const ENTRIES: Record<Role, Entry[]> = {
  vendor: [
    { to: '/work', label: 'My work', icon: IconClipboardList },
    { to: '/requests/new', label: 'New request', icon: IconPlus },
    { to: '/account', label: 'My account', icon: IconUser },
  ],
  approver: [
    { to: '/decide', label: 'Decide', icon: IconChecklist },
    { to: '/inside', label: 'Inside now', icon: IconDeviceDesktopAnalytics },
    { to: '/history', label: 'History', icon: IconHistory },
  ],
  operator: [
    { to: '/inside', label: 'Inside now', icon: IconDeviceDesktopAnalytics },
    { to: '/assets', label: 'Assets', icon: IconServer2 },
    { to: '/exceptions', label: 'Exceptions', icon: IconShieldExclamation },
  ],
  auditor: [
    { to: '/sessions', label: 'Sessions', icon: IconListDetails },
    { to: '/integrity', label: 'Integrity', icon: IconShieldCheck },
    { to: '/audit', label: 'Audit log', icon: IconFileCertificate },
    { to: '/exceptions', label: 'Exceptions', icon: IconShieldExclamation },
  ],
  administrator: [
    { to: '/admin/assets', label: 'Assets', icon: IconBuildingFactory2 },
    { to: '/admin/sites', label: 'Sites and zones', short: 'Sites', icon: IconMapPin },
    { to: '/admin/people', label: 'Vendors and people', short: 'People', icon: IconUsers },
    { to: '/admin/rules', label: 'Approval rules', short: 'Rules', icon: IconScale },
    { to: '/admin/tickets', label: 'Tickets', icon: IconClipboardList },
    { to: '/admin/gateways', label: 'Gateways and health', icon: IconRouter },
  ],
}
const ORDER: Role[] = ['vendor', 'approver', 'operator', 'auditor', 'administrator']

/** The groups of a person's roles; a page that two roles share is shown once. */
export function navigationFor(me: Me): NavigationGroup[] {
  const seen = new Set<string>()
  return ORDER.filter((role) => me.roles.some((held) => held.role === role)).map((role) => ({
    role,
    title: ROLE[role],
    entries: ENTRIES[role].filter((entry) => {
      if (seen.has(entry.to)) return false
      seen.add(entry.to)
      return true
    }),
  }))
}
