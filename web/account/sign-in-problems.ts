/** Why a sign-in at an identity provider did not end here, by the code that the broker puts into the address. */
export const PROBLEM: Readonly<Record<string, string>> = {
  'unknown-provider': 'That identity provider is not set up here. Choose one below.',
  'provider-unavailable':
    'Your identity provider does not answer. Try again, or use a passkey if you have one.',
  'trip-unknown': 'That sign-in was begun elsewhere, or too long ago. Begin again.',
  'provider-refused': 'Your identity provider did not let you in. Ask your own company.',
  'answer-invalid':
    'The answer of your identity provider did not check out. Begin again; tell the administrator if it stays so.',
  'authentication-too-weak':
    'This plant wants a stronger sign-in than your provider made, for example with a second factor.',
  'organisation-unknown':
    'Your identity provider names no organisation that this plant knows. Ask your contact there.',
  'no-role': 'Your account has no role here yet. Ask your contact at the plant.',
  'other-person':
    'Somebody else signed in there, not the person who is signed in here. Choose again, and sign in there as yourself.',
  'row-not-vouched':
    'Your account was changed outside of Sallyport and does not count. An administrator of the plant has to look.',
  'person-disabled': 'Your account is disabled. Ask your contact at the plant.',
  'account-ended': 'Your account has ended. Ask your contact at the plant.',
  'vendor-disabled': 'Your company is disabled here. Ask your contact at the plant.',
}

export const PROBLEM_ELSE = 'Begin again; tell the administrator of the plant if it stays so.'

/** The problem in an address: a code of ours only, never a text that somebody wrote there. */
export function problemIn(search: URLSearchParams): string | null {
  return /^[a-z-]{1,40}$/.exec(search.get('problem') ?? '')?.[0] ?? null
}
