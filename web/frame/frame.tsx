import { Button, useMantineColorScheme } from '@mantine/core'
import {
  IconAlertOctagon,
  IconCheck,
  IconChevronDown,
  IconDots,
  IconLogout,
  IconMapPin,
  IconPlugConnected,
  IconPlugConnectedX,
  IconUserCircle,
} from '@tabler/icons-react'
import { type ReactNode, useEffect, useState } from 'react'
import { Link, Navigate, NavLink, Outlet, useLocation, useNavigate, useRouteError } from 'react-router'
import { ApiFailure, setHooks } from '../shared/api.ts'
import { type Contrast, keepContrast, readContrast } from '../shared/appearance.ts'
import { ErrorNote, Waiting } from '../shared/kit.tsx'
import { openHints, useLinkState } from '../shared/link.ts'
import { chooseSite, type Me, useMe, useSite } from '../shared/me.ts'
import { useNow } from '../shared/now.ts'
import { queryClient, refreshShown, useAct } from '../shared/query.ts'
import { city, clockTime, day } from '../shared/time.ts'
import { AlarmBanner } from './alarm-banner.tsx'
import { DropDown, DropDownChoice } from './drop-down.tsx'
import { type Entry, navigationFor } from './navigation.ts'

/** The frame of every signed-in page: top bar, one banner line for alarms, navigation, and the page. */
export function Component() {
  const me = useMe()
  const location = useLocation()
  const navigate = useNavigate()
  useEffect(() => {
    setHooks({
      signedOut: () => {
        queryClient.clear()
        navigate(signInPath(window.location.pathname + window.location.search), { replace: true })
      },
    })
  }, [navigate])
  if (!me.data) {
    if (me.error instanceof ApiFailure && me.error.status === 401)
      return <Navigate to={signInPath(location.pathname + location.search)} replace />
    return (
      <main className="page">
        {me.error ? <ErrorNote error={me.error} again={() => void me.refetch()} /> : <Waiting rows={4} />}
      </main>
    )
  }
  return <Signed me={me.data} />
}

const signInPath = (returnTo: string) =>
  returnTo === '/' ? '/sign-in' : `/sign-in?returnTo=${encodeURIComponent(returnTo)}`

function Signed({ me }: { me: Me }) {
  const groups = navigationFor(me)
  const location = useLocation()
  // A session takes the screen: no navigation beside it.
  const full = /^\/sessions\/[^/]+\/(live|watch)$/.test(location.pathname)
  useEffect(() => openHints(refreshShown), [])
  useEffect(() => {
    // A session takes the keyboard itself.
    if (location.pathname && !full) document.getElementById('main')?.focus({ preventScroll: true })
    window.scrollTo(0, 0)
  }, [location.pathname, full])
  return (
    <div className={full ? 'frame frame-full' : 'frame'}>
      <a href="#main" className="skip-link">
        Skip to the page
      </a>
      {full ? null : <TopBar me={me} />}
      <AlarmBanner me={me} />
      <div className="frame-body">
        {full || groups.length === 0 ? null : (
          <nav className="side" aria-label="Pages">
            {groups.map((group) => (
              <div key={group.role} className="side-group">
                {groups.length > 1 ? <p className="side-title">{group.title}</p> : null}
                {group.entries.map((entry) => (
                  <SideLink key={entry.to} entry={entry} />
                ))}
              </div>
            ))}
          </nav>
        )}
        <main id="main" tabIndex={-1}>
          <Outlet context={me} />
        </main>
      </div>
      {full ? null : <BottomBar entries={groups.flatMap((group) => group.entries)} />}
    </div>
  )
}

function SideLink({ entry }: { entry: Entry }) {
  return (
    <NavLink to={entry.to} className="side-link">
      <entry.icon size={18} stroke={1.7} aria-hidden />
      <span>{entry.label}</span>
    </NavLink>
  )
}

/** On a phone: the first pages at the thumb, the others behind "More". */
function BottomBar({ entries }: { entries: Entry[] }) {
  if (entries.length < 2) return null
  const shown = entries.length <= 5 ? entries : entries.slice(0, 4)
  const rest = entries.slice(shown.length)
  return (
    <nav className="bottom" aria-label="Pages">
      {shown.map((entry) => (
        <NavLink key={entry.to} to={entry.to} className="bottom-link">
          <entry.icon size={22} stroke={1.7} aria-hidden />
          <span>
            {entry.short ?? entry.label}
            {entry.short ? <span className="sr-only"> ({entry.label})</span> : null}
          </span>
        </NavLink>
      ))}
      {rest.length > 0 ? (
        <DropDown
          className="bottom-link"
          side="bottom"
          face={
            <>
              <IconDots size={22} aria-hidden />
              <span>More</span>
            </>
          }
        >
          {rest.map((entry) => (
            <Link key={entry.to} to={entry.to} className="drop-down-item">
              <entry.icon size={18} aria-hidden /> {entry.label}
            </Link>
          ))}
        </DropDown>
      ) : null}
    </nav>
  )
}

function TopBar({ me }: { me: Me }) {
  const { chosen, clock } = useSite(me)
  return (
    <header className="top">
      <Link to="/" className="brand" aria-label="Sallyport, first page">
        <img src="/icon.svg" alt="" width={22} height={22} />
        <span>Sallyport</span>
      </Link>
      {me.sites.length > 1 ? (
        <DropDown
          className="top-button"
          side="left"
          face={
            <>
              <IconMapPin size={16} aria-hidden />
              <span className="clip">{chosen?.name ?? 'All sites'}</span>
              <IconChevronDown size={14} aria-hidden />
            </>
          }
        >
          <Choice chosen={chosen === null} onClick={() => chooseSite(null)}>
            All sites
          </Choice>
          {me.sites.map((site) => (
            <Choice key={site.id} chosen={chosen?.id === site.id} onClick={() => chooseSite(site.id)}>
              {site.name}
            </Choice>
          ))}
        </DropDown>
      ) : (
        <span className="top-site clip">{clock?.name}</span>
      )}
      <span className="top-space" />
      {clock ? <PlantClock zone={clock.timeZone} /> : null}
      <LinkSign />
      <PersonMenu me={me} />
    </header>
  )
}

function Choice(props: { chosen: boolean; onClick: () => void; children: ReactNode }) {
  return <DropDownChoice {...props} icon={<IconCheck size={16} aria-hidden />} />
}

function PlantClock({ zone }: { zone: string }) {
  const now = useNow(1000)
  return (
    <span className="plant-clock" title={`Plant time, ${zone}`}>
      <span className="plant-day">{day(now, zone)}</span> <strong>{clockTime(now, zone)}</strong>
      <span className="plant-city"> {city(zone)}</span>
    </span>
  )
}

function LinkSign() {
  const link = useLinkState()
  const lost = link === 'lost'
  const word = lost ? 'Reconnecting' : link === 'live' ? 'Connected' : 'Connecting'
  return (
    <output className={lost ? 'link-sign tone-attention' : 'link-sign'}>
      {lost ? <IconPlugConnectedX size={16} aria-hidden /> : <IconPlugConnected size={16} aria-hidden />}
      <span className={lost ? undefined : 'wide-only'}>{word}</span>
      {lost ? null : <span className="sr-only">{word}</span>}
    </output>
  )
}

function PersonMenu({ me }: { me: Me }) {
  const { colorScheme, setColorScheme } = useMantineColorScheme()
  const [contrast, setContrast] = useState<Contrast>(readContrast)
  const signOut = useAct('POST /api/sign-out', () => {
    queryClient.clear()
    window.location.assign('/sign-in')
  })
  return (
    <DropDown
      className="top-button"
      side="right"
      label={`${me.person.name}: account and appearance`}
      face={
        <>
          <IconUserCircle size={20} stroke={1.6} aria-hidden />
          <span className="wide-only clip">{me.person.name}</span>
        </>
      }
    >
      <p className="drop-down-title">
        {me.person.name}
        {me.person.vendor ? `, ${me.person.vendor.name}` : ''}
      </p>
      <Link to="/account" className="drop-down-item">
        <IconUserCircle size={16} aria-hidden /> My account
      </Link>
      <p className="drop-down-title">Appearance</p>
      {(['auto', 'light', 'dark'] as const).map((scheme) => (
        <Choice key={scheme} chosen={colorScheme === scheme} onClick={() => setColorScheme(scheme)}>
          {scheme === 'auto' ? 'As the system' : scheme === 'light' ? 'Light' : 'Dark'}
        </Choice>
      ))}
      <Choice
        chosen={contrast === 'high'}
        onClick={() => {
          const next = contrast === 'high' ? 'system' : 'high'
          keepContrast(next)
          setContrast(next)
        }}
      >
        High contrast
      </Choice>
      <hr />
      <button
        type="button"
        className="drop-down-item"
        data-closes
        onClick={() => signOut.mutate({ body: {} })}
      >
        <IconLogout size={16} aria-hidden /> Sign out
      </button>
    </DropDown>
  )
}

/** A page that could not be shown: a bug, or a new version was installed while this tab stood open. */
export function PageError() {
  const error = useRouteError()
  const stale = error instanceof Error && /dynamically imported module|Importing a module/.test(error.message)
  return (
    <div className="page">
      {stale ? (
        <div className="note note-attention" role="alert">
          <IconAlertOctagon size={18} aria-hidden />
          <div>
            <p>
              <strong>Sallyport was updated while this page stood open.</strong>
            </p>
            <p>Reload to go on. A running session is not touched by that.</p>
            <Button size="xs" mt={6} onClick={() => window.location.reload()}>
              Reload
            </Button>
          </div>
        </div>
      ) : (
        <ErrorNote error={error} again={() => window.location.reload()} />
      )}
    </div>
  )
}
