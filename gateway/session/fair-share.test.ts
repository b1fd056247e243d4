import { describe, expect, it } from 'vitest'
import { manualClock } from '../../broker/domain/manual-clock.ts'
import { FairShare, TypingBoard, typingBoardMemory, WALK_BYTES_PER_SECOND } from './fair-share.ts'

const MIB = 1024 * 1024

function gateway() {
  const clock = manualClock()
  const memory = typingBoardMemory()
  // Each session thread has a board of its own over the same memory.
  const board = () => new TypingBoard(memory, () => Math.floor(clock.monotonic() / 1000))
  let wentOn = 0
  const loud = new FairShare(board(), '0000-000a', clock, () => {
    wentOn += 1
  })
  const quiet = new FairShare(board(), '0000-000b', clock, () => {})
  /** Streams flat out for `ms`, in pieces of 64 KiB; how many bytes went. */
  const stream = (ms: number) => {
    let bytes = 0
    for (let at = 0; at < ms; at++) {
      for (let piece = 0; piece < 4 && !loud.waits; piece++) {
        loud.took(64 * 1024)
        bytes += 64 * 1024
      }
      clock.advance(1)
    }
    return bytes
  }
  return { clock, loud, quiet, stream, wentOn: () => wentOn }
}

describe('a session’s share of the gateway', () => {
  it('is everything while nobody else types', () => {
    const { loud, stream } = gateway()
    loud.typed()
    expect(stream(1000)).toBe(250 * MIB)
  })

  it('is a walk while somebody else does, and the asset is called again each time', () => {
    const { clock, quiet, stream, wentOn } = gateway()
    clock.advance(5000)
    quiet.typed()
    const bytes = stream(2000)
    expect(bytes / 2).toBeGreaterThan(WALK_BYTES_PER_SECOND * 0.8)
    expect(bytes / 2).toBeLessThan(WALK_BYTES_PER_SECOND * 1.3)
    expect(wentOn()).toBeGreaterThan(10)
  })

  it('is everything again when the other has not typed for some seconds', () => {
    const { clock, quiet, stream } = gateway()
    quiet.typed()
    stream(100)
    clock.advance(5000)
    expect(stream(1000)).toBeGreaterThan(200 * MIB)
  })

  it('lets a screen or a directory through at once', () => {
    const { quiet, loud } = gateway()
    quiet.typed()
    loud.took(300 * 1024)
    expect(loud.waits).toBe(false)
  })

  it('calls nobody after its end', () => {
    const { clock, loud, quiet, wentOn } = gateway()
    quiet.typed()
    loud.took(8 * MIB)
    expect(loud.waits).toBe(true)
    loud.close()
    clock.advance(60_000)
    expect(wentOn()).toBe(0)
  })
})
