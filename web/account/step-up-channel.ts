/** How the window of an identity provider tells the page behind it that the step-up was made. */
export const STEP_UP_CHANNEL = 'sallyport-step-up'
