import { connect, type Socket } from 'node:net'
import type { Area, Shown } from './desktop-way.ts'
import { imageSize } from './image-size.ts'

/** What the session is told of what it shows, once a frame of it has come (`sync`). */
interface Frame {
  at: number
  areas: Area[]
}

/**
 * The browser's side of the Guacamole protocol, without its canvas: selects, connects, and answers every `sync` at once.
 * Straight to guacd: the web application that stands before it in an installation is left out, in its favour.
 */
export class GuacamoleDesktop {
  size = { width: 0, height: 0 }
  readonly shown: Shown = { updates: 0, bytes: 0, pixels: 0 }
  readonly #socket: Socket
  readonly #settings: Readonly<Record<string, string>>
  readonly #onFrame: (frame: Frame) => void
  #text = ''
  #areas: Area[] = []
  #rect: Area | null = null
  readonly #images = new Map<string, { x: number; y: number; onScreen: boolean; start: string }>()

  constructor(
    port: number,
    settings: Readonly<Record<string, string>>,
    onFrame: (frame: Frame) => void,
    onLost: (error: Error) => void,
  ) {
    this.#settings = settings
    this.#onFrame = onFrame
    this.#socket = connect({ host: '127.0.0.1', port, noDelay: true })
    this.#socket.on('error', onLost)
    this.#socket.on('data', (bytes: Buffer) => {
      this.shown.bytes += bytes.length
      this.#text += bytes.toString('latin1')
      try {
        this.#read()
      } catch (error) {
        onLost(error instanceof Error ? error : new Error(String(error)))
      }
    })
    this.#socket.on('close', () => onLost(new Error('guacd closed the connection')))
    this.#say('select', 'vnc')
  }

  key(down: boolean, keysym: number): void {
    this.#say('key', String(keysym), down ? '1' : '0')
  }

  pointer(buttons: number, x: number, y: number): void {
    this.#say('mouse', String(x), String(y), String(buttons))
  }

  async close(): Promise<void> {
    const closed = new Promise((done) => this.#socket.once('close', done))
    this.#say('disconnect')
    this.#socket.end()
    await closed
  }

  #say(...words: string[]): void {
    this.#socket.write(`${words.map((word) => `${word.length}.${word}`).join(',')};`)
  }

  /** Every whole instruction of what has come. */
  #read(): void {
    let at = 0
    for (;;) {
      const words: string[] = []
      let place = at
      for (;;) {
        const dot = this.#text.indexOf('.', place)
        const end = dot + 1 + Number(this.#text.slice(place, dot))
        if (dot < 0 || end >= this.#text.length) {
          this.#text = this.#text.slice(at)
          return
        }
        words.push(this.#text.slice(dot + 1, end))
        place = end + 1
        if (this.#text[end] === ';') break
      }
      at = place
      this.#take(words[0] ?? '', words.slice(1))
    }
  }

  #take(name: string, words: string[]): void {
    const number = (index: number) => Number(words[index])
    switch (name) {
      case 'args':
        this.#say('size', '1024', '768', '96')
        this.#say('audio')
        this.#say('video')
        this.#say('image', 'image/png', 'image/jpeg', 'image/webp')
        this.#say('timezone', 'Etc/UTC')
        this.#say(
          'connect',
          ...words.map((word) => (word.startsWith('VERSION_') ? word : (this.#settings[word] ?? ''))),
        )
        return
      case 'size':
        if (words[0] === '0') this.size = { width: number(1), height: number(2) }
        return
      case 'img':
        this.#images.set(words[0] ?? '', {
          x: number(4),
          y: number(5),
          onScreen: words[2] === '0',
          start: '',
        })
        return
      case 'blob': {
        const image = this.#images.get(words[0] ?? '')
        if (image && image.start === '') image.start = words[1] ?? ''
        return
      }
      case 'end': {
        const image = this.#images.get(words[0] ?? '')
        this.#images.delete(words[0] ?? '')
        if (image?.onScreen)
          this.#paint({ x: image.x, y: image.y, ...imageSize(Buffer.from(image.start, 'base64')) })
        return
      }
      case 'copy':
        if (words[6] === '0') this.#paint({ x: number(7), y: number(8), width: number(3), height: number(4) })
        return
      case 'rect':
        this.#rect =
          words[0] === '0' ? { x: number(1), y: number(2), width: number(3), height: number(4) } : null
        return
      case 'cfill':
        if (this.#rect && words[1] === '0') this.#paint(this.#rect)
        this.#rect = null
        return
      case 'sync':
        this.#say('sync', words[0] ?? '')
        this.#frame()
        return
      case 'error':
        throw new Error(`guacd: ${words.join(' ')}`)
    }
  }

  #paint(area: Area): void {
    this.#areas.push(area)
    this.shown.pixels += area.width * area.height
  }

  #frame(): void {
    const at = performance.now()
    const areas = this.#areas
    this.#areas = []
    if (areas.length === 0) return
    this.shown.updates += 1
    this.#onFrame({ at, areas })
  }
}
