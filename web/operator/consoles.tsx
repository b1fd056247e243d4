import { Button } from '@mantine/core'
import { IconCheck } from '@tabler/icons-react'
import type { Answer } from '../shared/api.ts'
import { ErrorNote, Section, Status, When } from '../shared/kit.tsx'
import { useAct, useRead } from '../shared/query.ts'
import { CRITICALITY } from '../shared/words.ts'

type Console = Answer<'GET /api/consoles'>[number]

/** Vendors who wait for a console that operators use; nothing when nobody does. */
export function Consoles({ siteId }: { siteId: string | undefined }) {
  const consoles = useRead('GET /api/consoles', {}, { live: true })
  const list = (consoles.data ?? []).filter(({ site }) => siteId === undefined || site.id === siteId)
  if (consoles.error) return <ErrorNote error={consoles.error} />
  if (list.length === 0) return null
  return (
    <Section title="Waiting for a console">
      <ul className="list">
        {list.map((item) => (
          <Waiting key={item.requestId} item={item} />
        ))}
      </ul>
    </Section>
  )
}

function Waiting({ item }: { item: Console }) {
  const ready = useAct('POST /api/requests/:id/console/ready')
  const takeBack = useAct('POST /api/requests/:id/console/take-back')
  const input = { params: { id: item.requestId }, body: {} }
  const zone = item.site.timeZone
  return (
    <li className="list-row">
      <div className="list-row-head">
        <span className="list-title">{item.asset.name}</span>
        {item.ready ? (
          <Status tone="normal" word="Console free" />
        ) : (
          <Status tone="attention" word="Is the console free?" />
        )}
      </div>
      <p>
        <strong>{item.person.name}</strong>, {item.person.company}
      </p>
      <p>
        <span className="chip">{item.ticketKey}</span> {item.purpose}
      </p>
      <span className="dim">
        {item.site.name}, {CRITICALITY[item.asset.criticality]} · asked{' '}
        <When at={item.askedAt} zone={zone} short />
      </span>
      {item.ready ? (
        <>
          <p>
            {item.ready.by} said so. It counts for one opening, until{' '}
            <When at={item.ready.expiresAt} zone={zone} short />.
          </p>
          <div className="row">
            <Button variant="default" loading={takeBack.isPending} onClick={() => takeBack.mutate(input)}>
              Take back
            </Button>
          </div>
        </>
      ) : (
        <>
          <p>The session takes the console away from whoever stands before it. Look, then press.</p>
          <div className="row">
            <Button
              leftSection={<IconCheck size={17} aria-hidden />}
              loading={ready.isPending}
              onClick={() => ready.mutate(input)}
            >
              Ready
            </Button>
          </div>
        </>
      )}
      {[ready.error, takeBack.error].map((error) =>
        error ? <ErrorNote key={error.message} error={error} /> : null,
      )}
    </li>
  )
}
