import { Link } from 'react-router'
import { Empty, Page } from '../shared/kit.tsx'

export function Component() {
  return (
    <Page title="No such page">
      <Empty title="There is nothing at this address" action={<Link to="/">Go to your first page</Link>}>
        A link may be old, or it was typed by hand.
      </Empty>
    </Page>
  )
}
