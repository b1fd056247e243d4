import { IconAlertTriangle, IconCheck } from '@tabler/icons-react'
import type { Answer } from './api.ts'

type Decision = Answer<'POST /api/requests/preview'>

/** What decideAccess says: first what is missing and who can give it, then what holds. */
export function DecisionLines({
  decision,
  only,
  without,
}: {
  decision: Decision
  only?: 'missing'
  without?: string
}) {
  const missing = decision.lines.filter((line) => !line.holds && line.code !== without)
  const holds = only ? [] : decision.lines.filter((line) => line.holds)
  return (
    <ul className="decision-lines">
      {[...missing, ...holds].map((line) => (
        <li key={`${line.code}${line.text}`} className={line.holds ? 'holds' : 'missing'}>
          {line.holds ? (
            <IconCheck size={17} aria-label="Holds" />
          ) : (
            <IconAlertTriangle size={17} aria-label="Missing" />
          )}
          <span>
            {line.text}
            {line.who ? <span className="dim"> {line.who}.</span> : null}
          </span>
        </li>
      ))}
    </ul>
  )
}
