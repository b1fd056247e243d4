import type { FastifyReply } from 'fastify'
import type { Database, Subscription } from '../store/sql.ts'

export const TOPICS = ['requests', 'sessions', 'extensions', 'alarms'] as const
export type Topic = (typeof TOPICS)[number]

const CHANNEL = 'hints'
const STREAMS_PER_PERSON = 6
const STREAMS_IN_ALL = 2_000
const BEAT_MS = 15_000
/** Hints of one topic within this are one hint. */
const GATHER_MS = 150

/**
 * Server-sent events that say only "something of this topic changed": pages then fetch what they may see, so nothing
 * leaks here, and a lost hint costs nothing but time.
 */
export class Hints {
  readonly #streams = new Map<FastifyReply, string>()
  readonly #gathered = new Set<Topic>()
  readonly #db: Database
  #timer: NodeJS.Timeout | null = null
  #beat: NodeJS.Timeout | null = null
  #subscription: Subscription | null = null

  constructor(db: Database) {
    this.#db = db
  }

  /** Follows the hints of other brokers. */
  async start(): Promise<void> {
    this.#subscription = await this.#db.listen(CHANNEL, (payload) => {
      for (const topic of payload.split(',')) if (isTopic(topic)) this.#gather(topic)
    })
    this.#beat = setInterval(() => this.#write(':\n\n'), BEAT_MS)
    this.#beat.unref()
  }

  async stop(): Promise<void> {
    if (this.#beat) clearInterval(this.#beat)
    if (this.#timer) clearTimeout(this.#timer)
    for (const reply of this.#streams.keys()) reply.raw.end()
    this.#streams.clear()
    await this.#subscription?.close().catch(() => undefined)
  }

  /** After the commit. While the database is down, only this broker's pages are told. */
  publish(topic: Topic): void {
    this.#gather(topic)
    this.#db.notify(CHANNEL, topic).catch(() => undefined)
  }

  /** Takes over the reply; false when there are too many streams already. */
  open(reply: FastifyReply, person: string): boolean {
    let mine = 0
    for (const owner of this.#streams.values()) if (owner === person) mine += 1
    if (mine >= STREAMS_PER_PERSON || this.#streams.size >= STREAMS_IN_ALL) return false
    const headers = Object.fromEntries(
      Object.entries(reply.getHeaders()).flatMap(([name, value]) =>
        value === undefined ? [] : [[name, value]],
      ),
    )
    reply.hijack()
    reply.raw.writeHead(200, {
      ...headers,
      'content-type': 'text/event-stream',
      'cache-control': 'no-store',
      'x-accel-buffering': 'no',
    })
    reply.raw.write('retry: 2000\n\n')
    this.#streams.set(reply, person)
    reply.raw.on('error', () => undefined)
    reply.raw.on('close', () => this.#streams.delete(reply))
    return true
  }

  closePerson(person: string): void {
    for (const [reply, owner] of this.#streams) if (owner === person) reply.raw.end()
  }

  #gather(topic: Topic): void {
    this.#gathered.add(topic)
    this.#timer ??= setTimeout(() => {
      this.#timer = null
      const topics = [...this.#gathered]
      this.#gathered.clear()
      this.#write(topics.map((one) => `event: ${one}\ndata: {}\n\n`).join(''))
    }, GATHER_MS).unref()
  }

  #write(text: string): void {
    for (const reply of this.#streams.keys()) {
      // A page that doesn't read is dropped; it comes back by itself and fetches everything.
      if (reply.raw.writableLength > 64 * 1024) reply.raw.destroy()
      else reply.raw.write(text)
    }
  }
}

function isTopic(text: string): text is Topic {
  return (TOPICS as readonly string[]).includes(text)
}
