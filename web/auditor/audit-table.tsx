import type { Answer } from '../shared/api.ts'
import { Status, TableFrame } from '../shared/kit.tsx'
import { clockSeconds, day, instantTimes } from '../shared/time.ts'

type Entry = Answer<'GET /api/audit'>['items'][number]

export function AuditTable({ entries, zone }: { entries: readonly Entry[]; zone: string }) {
  return (
    <TableFrame
      label="Audit entries"
      columns={['No.', 'Time, plant', 'Action', 'Result', 'Who', 'What', 'Details']}
    >
      <tbody>
        {entries.map((entry) => (
          <tr key={entry.id}>
            <td className="num-cell dim">{entry.index ?? 'next'}</td>
            <td className="num-cell">
              <time dateTime={entry.time} title={instantTimes(entry.time, zone).text}>
                {day(entry.time, zone)}, {clockSeconds(entry.time, zone)}
              </time>
            </td>
            <td className="mono small">{entry.action}</td>
            <td>
              {entry.result === 'ok' ? (
                <span className="dim">ok</span>
              ) : (
                <Status tone="attention" word={entry.result} />
              )}
            </td>
            <td>
              {entry.actor}
              {entry.sourceAddress ? <div className="dim small mono">{entry.sourceAddress}</div> : null}
            </td>
            <td className="wrap-any">{entry.object}</td>
            <td className="wrap-any">
              {entry.reason ? <div>{entry.reason}</div> : null}
              <details>
                <summary className="dim small">
                  {Object.keys(entry.details).length} fields, leaf {entry.leaf.slice(0, 8)}
                </summary>
                <pre className="bytes mono">
                  {JSON.stringify({ ...entry.details, leaf: entry.leaf, id: entry.id }, null, 1)}
                </pre>
              </details>
            </td>
          </tr>
        ))}
      </tbody>
    </TableFrame>
  )
}
