/** How the window of an identity provider tells the page behind it how the step-up went. */
export const STEP_UP_CHANNEL = 'sallyport-step-up'

/** `problem` is the broker's code when it was refused, null when it was made. */
export interface StepUpOutcome {
  problem: string | null
}
