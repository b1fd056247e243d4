import { useEffect } from 'react'
import { STEP_UP_CHANNEL } from './step-up-channel.ts'

/** Where the identity provider's window comes back to: it tells the page behind it and closes. */
export function Component() {
  useEffect(() => {
    const channel = new BroadcastChannel(STEP_UP_CHANNEL)
    channel.postMessage('done')
    channel.close()
    window.close()
  }, [])
  return (
    <main className="entrance">
      <p>You are signed in afresh. You can close this window and go on.</p>
    </main>
  )
}
