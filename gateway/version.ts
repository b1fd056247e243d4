/** Reported at enrolment and on every link. Kept equal to package.json by a test. */
export const VERSION = '0.1.0'
