/**
 * The escaper's inner loop as a WebAssembly module, at a third of the cost of the same in JavaScript. A block of
 * sixteen bytes without anything to escape is copied as it is. In any other, each byte is replaced by its entry in a
 * table: eight bytes at ESCAPES + 8 * byte, of which LENGTHS[byte] count. That takes no branch, and what comes next in
 * a terminal's output is what a processor guesses wrong. Source and result lie behind the tables.
 *
 *   (func (export "escape") (param $from i32) (param $end i32) (param $to i32) (result i32)
 *     (local $block v128) (local $byte i32) ...)   ;; the instructions: BODY
 */
const ESCAPES = 0
const LENGTHS = 2048
const SOURCE = 4096
/** The most that is escaped at once, bytes. */
export const SOURCE_LIMIT = 8 * 1024
const RESULT = 16 * 1024
const PAGES = 2

// Opcodes (WebAssembly core specification, section 5.4), those with a prefix as all their bytes.
const I32 = 0x7f
const V128 = 0x7b
const LOOP_VOID = [0x03, 0x40]
const IF_VOID = [0x04, 0x40]
const END = 0x0b
const ELSE = 0x05
const BR_IF = 0x0d
const LOCAL_GET = 0x20
const LOCAL_SET = 0x21
const LOCAL_TEE = 0x22
const I32_CONST = 0x41
const I32_LT_U = 0x49
const I32_ADD = 0x6a
const I32_SUB = 0x6b
const I32_SHL = 0x74
const V128_LOAD = [0xfd, 0x00]
const V128_STORE = [0xfd, 0x0b]
const I8X16_SPLAT = [0xfd, 0x0f]
const I8X16_EQ = [0xfd, 0x23]
const I8X16_LT_U = [0xfd, 0x26]
const V128_OR = [0xfd, 0x50]
const V128_ANY_TRUE = [0xfd, 0x53]
const I32_LOAD8_U = 0x2d
const I64_LOAD = 0x29
const I64_STORE = 0x37
/** The operand of loads and stores: no alignment promised (2^0), at this offset. */
const at = (offset: number) => [0, ...leb(offset)]

// Locals.
const FROM = 0
const END_OF_SOURCE = 1
const TO = 2
const BLOCK = 3
const BYTE = 4

const constant = (value: number) => [I32_CONST, ...leb(value)]
const blockIs = (compare: number[], value: number) => [
  [LOCAL_GET, BLOCK],
  constant(value),
  I8X16_SPLAT,
  compare,
]
const advance = (local: number, by: number[]) => [[LOCAL_GET, local], by, I32_ADD, [LOCAL_SET, local]]

/** to[0..8] = ESCAPES[from[n]], to += LENGTHS[from[n]]: no branch, because the next byte is nobody's to foretell. */
const escapeByte = (n: number) => [
  [LOCAL_GET, TO],
  [
    [LOCAL_GET, FROM],
    [I32_LOAD8_U, at(n)],
    [LOCAL_TEE, BYTE],
  ],
  [constant(3), I32_SHL, I64_LOAD, at(ESCAPES)],
  [I64_STORE, at(0)],
  advance(TO, [LOCAL_GET, BYTE, I32_LOAD8_U, ...at(LENGTHS)]),
]

const BODY = [
  LOOP_VOID,
  // to[0..16] = block = from[0..16]
  [LOCAL_GET, TO],
  [LOCAL_GET, FROM],
  [V128_LOAD, at(0)],
  [LOCAL_TEE, BLOCK],
  [V128_STORE, at(0)],
  // if any byte of it needs an escape: written over
  blockIs(I8X16_LT_U, 0x20),
  [blockIs(I8X16_EQ, 0x22), V128_OR],
  [blockIs(I8X16_EQ, 0x5c), V128_OR],
  V128_ANY_TRUE,
  IF_VOID,
  Array.from({ length: 16 }, (_, n) => escapeByte(n)),
  ELSE,
  advance(TO, constant(16)),
  END,
  advance(FROM, constant(16)),
  // if (from < end) next
  [LOCAL_GET, FROM],
  [LOCAL_GET, END_OF_SOURCE],
  I32_LT_U,
  [BR_IF, 0],
  END,
  // The padding's bytes count one each: to - (from - end).
  [LOCAL_GET, TO],
  [[LOCAL_GET, FROM], [LOCAL_GET, END_OF_SOURCE], I32_SUB],
  I32_SUB,
]

const MODULE = [
  [0x00, 0x61, 0x73, 0x6d, 1, 0, 0, 0],
  // types: one, (i32 i32 i32) -> i32
  section(1, [1, 0x60, [3, I32, I32, I32], [1, I32]]),
  // functions: one, of type 0
  section(3, [1, 0]),
  // memories: one, of PAGES that does not grow
  section(5, [1, 1, PAGES, PAGES]),
  // exports: memory 0, function 0
  section(7, [2, text('memory'), 2, 0, text('escape'), 0, 0]),
  // code: locals, body
  section(10, [1, sized([[2, [1, V128], [1, I32]], BODY, END])]),
]

type Bytes = number | readonly Bytes[]

function flat(bytes: Bytes): number[] {
  return typeof bytes === 'number' ? [bytes] : bytes.flatMap(flat)
}

function section(id: number, content: Bytes): Bytes {
  return [id, sized(content)]
}

function sized(content: Bytes): number[] {
  const bytes = flat(content)
  return [...leb(bytes.length), ...bytes]
}

function text(name: string): number[] {
  return sized([...Buffer.from(name)])
}

/** Signed LEB128, which for these values is also a valid unsigned one. */
function leb(value: number): number[] {
  const low = value & 0x7f
  return value < 0x40 ? [low] : [low | 0x80, ...leb(value >> 7)]
}

/** What fills the last block: a byte that is no escape. */
const PADDING = 0x20

/** One for each thread. Escapes at most SOURCE_LIMIT bytes; the result is a view, valid until the next call. */
export function simdEscaper(): (source: Uint8Array) => Uint8Array {
  const { exports } = new WebAssembly.Instance(new WebAssembly.Module(Uint8Array.from(flat(MODULE))))
  const { memory, escape: run } = exports as unknown as Exports
  const bytes = new Uint8Array(memory.buffer)
  for (let byte = 0; byte < 0x100; byte++) {
    // Of characters up to U+00FF as one byte each: those of a longer sequence stay as they are.
    const escaped = Buffer.from(JSON.stringify(String.fromCharCode(byte)).slice(1, -1), 'latin1')
    bytes.set(escaped, ESCAPES + 8 * byte)
    bytes[LENGTHS + byte] = escaped.length
  }
  return (source) => {
    const end = SOURCE + source.length
    bytes.set(source, SOURCE)
    bytes.fill(PADDING, end, end + 16)
    return bytes.subarray(RESULT, run(SOURCE, end, RESULT))
  }
}

interface Exports {
  memory: WebAssembly.Memory
  /** Escapes whole blocks from `from` until `end` is reached, to `to`; returns the result's end. */
  escape(from: number, end: number, to: number): number
}
