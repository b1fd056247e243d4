import { useEffect } from 'react'
import { useSearchParams } from 'react-router'
import { Note } from '../shared/kit.tsx'
import { PROBLEM, PROBLEM_ELSE, problemIn } from './sign-in-problems.ts'
import { STEP_UP_CHANNEL, type StepUpOutcome } from './step-up-channel.ts'

/**
 * Where the identity provider's window comes back to: it tells the page behind it how it went, and closes. Its own
 * words are read where it does not close: in the tab of somebody whose browser opens no windows.
 */
export function Component() {
  const [search] = useSearchParams()
  const problem = problemIn(search)
  useEffect(() => {
    document.title = 'Confirm · Sallyport'
    const channel = new BroadcastChannel(STEP_UP_CHANNEL)
    channel.postMessage({ problem } satisfies StepUpOutcome)
    channel.close()
    window.close()
  }, [problem])
  return (
    <main className="entrance">
      {problem ? (
        <div className="panel entrance-card">
          <Note tone="attention">
            <p>
              <strong>This does not count.</strong> {PROBLEM[problem] ?? PROBLEM_ELSE}
            </p>
            <p className="mono small">{problem}</p>
          </Note>
          <p>
            You are signed in as before. If this is a window of its own, close it and go on in the other one.
            Otherwise <a href="/">go back to Sallyport</a>.
          </p>
        </div>
      ) : (
        <p>You are signed in afresh. You can close this window and go on.</p>
      )}
    </main>
  )
}
