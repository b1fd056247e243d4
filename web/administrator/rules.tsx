import { Button, Checkbox } from '@mantine/core'
import { useState } from 'react'
import type { Criticality, Role } from '../../broker/domain/words.ts'
import { ChoiceField, FormDialog, ReasonField } from '../shared/forms.tsx'
import { Empty, Page, Section, Shown, TableFrame } from '../shared/kit.tsx'
import { useAct, useRead } from '../shared/query.ts'
import { CRITICALITY, ROLE } from '../shared/words.ts'

interface Editing {
  siteId: string
  site: string
  criticality: Criticality
  count: number
  roles: Role[]
}
const LEVELS = Object.keys(CRITICALITY) as Criticality[]
const APPROVING: Role[] = ['approver', 'operator', 'administrator']

export function Component() {
  const rules = useRead('GET /api/approval-rules', {})
  const sites = useRead('GET /api/sites', {})
  const [editing, setEditing] = useState<Editing | null>(null)
  return (
    <Page
      title="Approval rules"
      lead="How many people approve, per site and criticality. The requester, the requester's company, and the same person twice never count."
    >
      <Shown of={sites}>
        {(list) =>
          list.length === 0 ? (
            <Empty title="No site yet">Rules belong to a site. Add one first.</Empty>
          ) : (
            list.map((site) => (
              <Section key={site.id} title={site.name}>
                <TableFrame
                  label={`Approval rules of ${site.name}`}
                  columns={['Criticality', 'People', 'From']}
                  actions="Change"
                >
                  <tbody>
                    {LEVELS.map((criticality) => {
                      const rule = rules.data?.find(
                        (entry) => entry.siteId === site.id && entry.criticality === criticality,
                      )
                      return (
                        <tr key={criticality}>
                          <td>{CRITICALITY[criticality]}</td>
                          <td className="num-cell">{rule?.count ?? '—'}</td>
                          <td>
                            {rule ? (
                              rule.roles.map((role) => ROLE[role]).join(' or ')
                            ) : (
                              <span className="dim">no rule: denied</span>
                            )}
                          </td>
                          <td>
                            <Button
                              size="xs"
                              variant="subtle"
                              onClick={() =>
                                setEditing({
                                  siteId: site.id,
                                  site: site.name,
                                  criticality,
                                  count: rule?.count ?? (criticality === 'C1' ? 2 : 1),
                                  roles: rule?.roles ?? ['approver'],
                                })
                              }
                            >
                              {rule ? 'Change' : 'Set'}
                              <span className="sr-only"> the rule for {criticality}</span>
                            </Button>
                          </td>
                        </tr>
                      )
                    })}
                  </tbody>
                </TableFrame>
              </Section>
            ))
          )
        }
      </Shown>
      {editing ? <RuleForm editing={editing} close={() => setEditing(null)} /> : null}
    </Page>
  )
}

function RuleForm({ editing, close }: { editing: Editing; close: () => void }) {
  const [count, setCount] = useState(String(editing.count))
  const [roles, setRoles] = useState<Role[]>(editing.roles)
  const [reason, setReason] = useState('')
  const set = useAct('PUT /api/approval-rules/:siteId/:criticality', close)
  const counts = ['1', '2', '3', '4', '5'].filter(
    (value) => editing.criticality !== 'C1' || Number(value) >= 2,
  )
  return (
    <FormDialog
      title={`${CRITICALITY[editing.criticality]} at ${editing.site}`}
      verb="Set rule"
      opened
      close={close}
      busy={set.isPending}
      error={set.error}
      submit={() =>
        set.mutate({
          params: { siteId: editing.siteId, criticality: editing.criticality },
          body: { count: Number(count), roles, reason },
        })
      }
    >
      <ChoiceField
        label="How many people"
        description={editing.criticality === 'C1' ? 'A safety asset needs two at least.' : undefined}
        value={count}
        set={setCount}
        data={counts}
        path="count"
      />
      <fieldset>
        <legend>Who counts</legend>
        <div className="stack-tight">
          {APPROVING.map((role) => (
            <Checkbox
              key={role}
              label={ROLE[role]}
              checked={roles.includes(role)}
              onChange={(event) =>
                setRoles(
                  event.currentTarget.checked ? [...roles, role] : roles.filter((other) => other !== role),
                )
              }
            />
          ))}
        </div>
      </fieldset>
      <ReasonField value={reason} set={setReason} />
    </FormDialog>
  )
}
