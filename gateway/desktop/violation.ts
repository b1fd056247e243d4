/** The server broke the protocol or a limit of ours. The text is ours alone: it goes into logs. */
export class Violation extends Error {}
