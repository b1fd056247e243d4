import { Navigate, useOutletContext } from 'react-router'
import { Empty, Page } from '../shared/kit.tsx'
import type { Me } from '../shared/me.ts'
import { navigationFor } from './navigation.ts'

/** Where each person begins: the first page of their first role. */
export function Component() {
  const me = useOutletContext<Me>()
  const first = navigationFor(me)[0]?.entries[0]
  if (first) return <Navigate to={first.to} replace />
  return (
    <Page title="Welcome">
      <Empty title="You have no role at any site yet">
        An administrator gives you one. Tell them your name and who you work for; nothing else is needed from
        you.
      </Empty>
    </Page>
  )
}
