import type { DesktopEvent, DesktopSegment } from './desktop-segment.ts'
import { parseDesktop } from './desktop-segment.ts'
import { squash } from './desktop-squash.ts'
import type { ReplayChannel } from './replay-channel.ts'
import { type DriverState, type DriverWorld, type SegmentIndex, SegmentPlayer } from './segment-player.ts'

/** The desktop's driver: recorded messages go to noVNC as if a server had sent them. */
export class DesktopDriver extends SegmentPlayer<DesktopSegment, DesktopEvent> {
  readonly #channel: ReplayChannel

  constructor(
    index: SegmentIndex,
    read: (number: number) => Promise<ArrayBuffer>,
    channel: ReplayChannel,
    watch?: (state: DriverState) => void,
    world?: DriverWorld,
  ) {
    super(index, (number) => read(number).then(parseDesktop), watch, world)
    this.#channel = channel
  }

  protected restore({ init, keyframe }: DesktopSegment, events: readonly DesktopEvent[]): void {
    this.#channel.restart(init, squash(init, [...keyframe, ...events.map(({ message }) => message)]))
  }

  protected show(events: readonly DesktopEvent[]): void {
    this.#channel.send(events.map(({ message }) => message))
  }

  protected timeOf({ timeMs }: DesktopEvent): number {
    return timeMs
  }
}
