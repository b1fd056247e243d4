import { IconLayoutSidebarRight, IconLogout, IconSearch } from '@tabler/icons-react'
import { useQuery } from '@tanstack/react-query'
import { useEffect, useRef, useState } from 'react'
import { useParams } from 'react-router'
import { call } from '../shared/api.ts'
import { useNow } from '../shared/now.ts'
import { viewerZone } from '../shared/time.ts'
import { SessionDrawer } from './drawer.tsx'
import { Ended } from './ended.tsx'
import { SearchRow } from './search-row.tsx'
import { mayType } from './session-state.ts'
import { MessageLine, Strip } from './strip.tsx'
import { useSession } from './use-session.ts'
import './session.css'

/** The vendor's session: the screen has the page. */
export function Component() {
  const { id = '' } = useParams()
  return <Live id={id} key={id} />
}

function Live({ id }: { id: string }) {
  const place = useRef<HTMLDivElement>(null)
  const { page, view, leave, paste, refusal, pending, setPending } = useSession(id, false, place)
  const [drawer, setDrawer] = useState(false)
  const [searching, setSearching] = useState(false)
  const [asking, setAsking] = useState(false)
  useNow(page.link === 'over' ? 60_000 : 500)
  const session = useQuery({
    queryKey: ['GET /api/sessions/:id', { params: { id } }],
    queryFn: ({ signal }) => call('GET /api/sessions/:id', { params: { id } }, signal),
    refetchInterval: 30_000,
  })
  const over = page.link === 'over'
  const zone = session.data?.asset.site.timeZone ?? viewerZone()
  const title = page.hello?.asset ?? session.data?.asset.name ?? 'Session'
  useEffect(() => {
    document.title = `${title} · Sallyport`
  }, [title])
  useEffect(() => {
    const keys = (event: KeyboardEvent) => {
      if (event.ctrlKey && event.shiftKey && event.code === 'KeyF') {
        event.preventDefault()
        setSearching((open) => !open)
      }
    }
    window.addEventListener('keydown', keys)
    return () => window.removeEventListener('keydown', keys)
  }, [])
  const askMore = () => {
    setAsking(true)
    setDrawer(true)
  }
  return (
    <div className="session">
      <Strip page={page} title={title}>
        {over ? null : (
          <>
            <button
              type="button"
              onClick={() => setSearching((open) => !open)}
              aria-pressed={searching}
              aria-label="Search the screen"
            >
              <IconSearch size={16} aria-hidden />
            </button>
            <button
              type="button"
              onClick={() => setDrawer((open) => !open)}
              aria-expanded={drawer}
              aria-label="Ticket, time, notes"
            >
              <IconLayoutSidebarRight size={16} aria-hidden />
              <span className="strip-narrow-hide">Ticket, time, notes</span>
            </button>
            <LeaveButton leave={leave} may={page.link === 'open'} />
          </>
        )}
      </Strip>
      {over ? null : (
        <MessageLine
          page={page}
          zone={zone}
          refusal={refusal}
          ask={askMore}
          pending={pending}
          answerPaste={(yes) => {
            if (yes && pending !== null) paste(pending)
            setPending(null)
            view?.terminal.focus()
          }}
          quiet={
            session.data
              ? `${session.data.ticketKey}: ${session.data.purpose}`
              : 'Everything on this screen is recorded.'
          }
        />
      )}
      {searching && view ? (
        <SearchRow
          view={view}
          close={() => {
            setSearching(false)
            view.terminal.focus()
          }}
        />
      ) : null}
      {over ? <Ended id={id} page={page} session={session.data ?? null} /> : null}
      <div className="session-body" hidden={over}>
        <div
          className="terminal-place"
          ref={place}
          data-frozen={page.link === 'open' && page.hello !== null && !mayType(page)}
        />
        {drawer ? (
          <SessionDrawer
            id={id}
            session={session.data ?? null}
            asking={asking}
            close={() => {
              setDrawer(false)
              setAsking(false)
              view?.terminal.focus()
            }}
          />
        ) : null}
      </div>
    </div>
  )
}

/** Asks once more in place: leaving ends the session for good. */
function LeaveButton({ leave, may }: { leave: () => void; may: boolean }) {
  const [sure, setSure] = useState(false)
  useEffect(() => {
    if (!sure) return
    const timer = setTimeout(() => setSure(false), 4000)
    return () => clearTimeout(timer)
  }, [sure])
  return (
    <button
      type="button"
      aria-label={sure ? 'End it now' : 'End session'}
      // Without a line nothing can be said to the session; the message line tells that it is lost.
      disabled={!may}
      onClick={() => (sure ? leave() : setSure(true))}
    >
      <IconLogout size={16} aria-hidden />
      {sure ? 'End it now' : <span className="strip-narrow-hide">End session</span>}
    </button>
  )
}
