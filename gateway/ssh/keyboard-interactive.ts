import type { KeyboardInteractiveCallback, Prompt } from 'ssh2'
import type { Secret } from '../../broker/domain/secret.ts'

/** A server may ask more than once (PAM: password, then a notice); never as often as it likes. */
const MOST_ROUNDS = 3

/**
 * Answers keyboard-interactive (RFC 4256) with the injected password: only a single hidden prompt that asks for a
 * password, once. A prompt that echoes, a second question or another word (an OTP, "new password") ends the attempt:
 * the password must not become the answer to something else.
 */
export function passwordAnswers(
  password: Secret<Buffer>,
  giveUp: () => void,
): (
  name: string,
  instructions: string,
  lang: string,
  prompts: Prompt[],
  finish: KeyboardInteractiveCallback,
) => void {
  let rounds = 0
  let given = false
  return (_name, _instructions, _lang, prompts, finish) => {
    rounds += 1
    if (rounds > MOST_ROUNDS) {
      giveUp()
      return
    }
    if (prompts.length === 0) {
      finish([])
      return
    }
    const [prompt] = prompts
    if (given || prompts.length !== 1 || !prompt || prompt.echo || !asksForPassword(prompt.prompt)) {
      giveUp()
      return
    }
    given = true
    finish([password.reveal().toString('utf8')])
  }
}

function asksForPassword(prompt: string): boolean {
  const text = prompt.slice(0, 200)
  return (
    /pass(word|wort|code)?|kennwort|mot de passe|contrase|senha/i.test(text) &&
    !/new|neu|nouveau|nuev|again|one.?time|otp/i.test(text)
  )
}
