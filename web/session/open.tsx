import { Button, Checkbox, NativeSelect } from '@mantine/core'
import { IconArrowRight } from '@tabler/icons-react'
import { useState } from 'react'
import { Link, useNavigate, useParams } from 'react-router'
import { chosenKeyboard, KEYBOARD_NAMES, keepKeyboard } from '../desktop/keyboard.ts'
import { DecisionLines } from '../shared/decision-lines.tsx'
import { ErrorNote, Fact, Facts, Page, Shown, Window } from '../shared/kit.tsx'
import { useNow } from '../shared/now.ts'
import { useAct, useRead } from '../shared/query.ts'
import { ENDING } from '../shared/words.ts'
import { ConsoleWord, opensNow } from '../vendor/console.tsx'
import { keepOpening } from './openings.ts'

/** Before the session: the site's notice, accepted; then a fresh sign-in if one is due; then inside. */
export function Component() {
  const { id = '' } = useParams()
  const navigate = useNavigate()
  const request = useRead('GET /api/requests/:id', { params: { id } }, { live: true })
  const notice = useRead('GET /api/requests/:id/notice', { params: { id } })
  const [accepted, setAccepted] = useState(false)
  const now = useNow(1000)
  const opens = request.data !== undefined && opensNow(request.data, now)
  const waitsForConsole = (request.data?.decision.permitted ?? false) && !opens
  const open = useAct('POST /api/requests/:id/session', (opening) => {
    keepOpening(opening)
    navigate(`/sessions/${opening.sessionId}/live`, { replace: true })
  })
  return (
    <Page title={request.data ? `Open ${request.data.asset.name}` : 'Open session'}>
      <Shown of={request}>
        {(data) => (
          <div className="panel panel-tight">
            <Facts>
              <Fact name="Purpose">{data.purpose}</Fact>
              <Fact name="Ticket">
                {data.ticket.key}: {data.ticket.title}
              </Fact>
              <Fact name="Window">
                <Window
                  opensAt={data.window.opensAt}
                  closesAt={data.window.closesAt}
                  zone={data.asset.site.timeZone}
                />
              </Fact>
              <Fact name="Ending">{ENDING[data.ending.mode]}</Fact>
            </Facts>
            {data.decision.permitted ? null : (
              <div className="stack" style={{ marginTop: '0.8rem' }}>
                <DecisionLines decision={data.decision} only="missing" />
              </div>
            )}
            <ConsoleWord request={data} now={now} />
          </div>
        )}
      </Shown>
      {/* Only below what it is about: a request that came later would push the form from under the pointer. */}
      {request.isPending ? null : (
        <Shown of={notice}>
          {(data) => (
            <form
              className="stack"
              style={{ maxWidth: '46rem' }}
              onSubmit={(event) => {
                event.preventDefault()
                open.mutate({ params: { id }, body: { noticeVersion: data.version } })
              }}
            >
              <h2>Notice of the site</h2>
              <div className="panel" style={{ whiteSpace: 'pre-wrap' }}>
                {data.text}
              </div>
              <Checkbox
                label="I have read this and accept it"
                checked={accepted}
                onChange={(event) => setAccepted(event.currentTarget.checked)}
                description={data.accepted ? 'You accepted this version before.' : undefined}
              />
              {request.data?.endpoint.protocol === 'rdp' ? <KeyboardChoice /> : null}
              {open.error ? <ErrorNote error={open.error} /> : null}
              <div className="row">
                <Button
                  type="submit"
                  size="md"
                  disabled={!accepted || waitsForConsole}
                  loading={open.isPending}
                  rightSection={<IconArrowRight size={18} aria-hidden />}
                >
                  Open session
                </Button>
                <Button component={Link} to="/work" variant="default" size="md">
                  Not now
                </Button>
              </div>
            </form>
          )}
        </Shown>
      )}
    </Page>
  )
}

/** The asset is told which keyboard it is: then each key means there what is printed on it. */
function KeyboardChoice() {
  const [keyboard, setKeyboard] = useState<string>(chosenKeyboard)
  return (
    <NativeSelect
      label="Keyboard before you"
      description="The asset is told, so that each key means there what is printed on it."
      value={keyboard}
      data={Object.entries(KEYBOARD_NAMES).map(([value, label]) => ({ value, label }))}
      onChange={(event) => {
        setKeyboard(event.currentTarget.value)
        keepKeyboard(event.currentTarget.value)
      }}
    />
  )
}
