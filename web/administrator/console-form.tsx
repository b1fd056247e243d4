import { useState } from 'react'
import type { Answer } from '../shared/api.ts'
import { FormDialog, ReasonField } from '../shared/forms.tsx'
import { useAct } from '../shared/query.ts'

/** Says whether operators use an asset's console, so that a session waits for the word of one of them. */
export function ConsoleForm({ asset, close }: { asset: Answer<'GET /api/assets/:id'>; close: () => void }) {
  const [reason, setReason] = useState('')
  const change = useAct('PATCH /api/assets/:id', close)
  const used = !asset.operatorsUseConsole
  return (
    <FormDialog
      title={used ? 'Operators use this console?' : 'Operators no longer use this console?'}
      verb={used ? 'Operators use it' : 'Operators do not use it'}
      opened
      close={close}
      busy={change.isPending}
      error={change.error}
      submit={() => change.mutate({ params: { id: asset.id }, body: { operatorsUseConsole: used, reason } })}
    >
      <p>
        {used
          ? 'Every session then waits until an operator of the site has said that the console is free, and approvers read that opening takes it away from whoever stands before it.'
          : 'Sessions then open without an operator’s word, over whoever stands before it.'}
      </p>
      <p>Approvals that were given no longer count; a session that runs ends by the rule of its asset.</p>
      <ReasonField value={reason} set={setReason} />
    </FormDialog>
  )
}
