import fc from 'fast-check'

/** Damaged copies of valid files: bytes changed, cut, inserted, repeated; several times over. */
export function damaged(files: readonly Uint8Array[]): fc.Arbitrary<Uint8Array> {
  const damage = fc.oneof(
    fc.record({ kind: fc.constant('set' as const), at: fc.nat(), value: fc.integer({ min: 0, max: 255 }) }),
    fc.record({ kind: fc.constant('flip' as const), at: fc.nat(), value: fc.integer({ min: 0, max: 7 }) }),
    fc.record({ kind: fc.constant('cut' as const), at: fc.nat(), value: fc.constant(0) }),
    fc.record({ kind: fc.constant('remove' as const), at: fc.nat(), value: fc.integer({ min: 1, max: 40 }) }),
    fc.record({ kind: fc.constant('insert' as const), at: fc.nat(), value: fc.uint8Array({ maxLength: 20 }) }),
    fc.record({ kind: fc.constant('text' as const), at: fc.nat(), value: fc.constantFrom(...tokens) }),
    fc.record({ kind: fc.constant('digit' as const), at: fc.nat(), value: fc.constantFrom(...digits) }),
  )
  return fc
    .tuple(fc.constantFrom(...files), fc.array(damage, { minLength: 1, maxLength: 4 }))
    .map(([file, damages]) => damages.reduce(apply, file))
}

const tokens = [
  '{',
  '}',
  '[',
  ']',
  '"',
  "'",
  ',',
  ':',
  '-',
  '.',
  'e9',
  '\\',
  '\\u',
  '\0',
  'null',
  'F32',
  '<f4',
  '(',
  'ä',
]
const digits = [
  '0',
  '00',
  '-1',
  '1.5',
  '4294967295',
  '9007199254740991',
  '9007199254740992',
  '1e308',
  '18446744073709551616',
]

type Damage =
  | { kind: 'set' | 'flip' | 'cut' | 'remove'; at: number; value: number }
  | { kind: 'insert'; at: number; value: Uint8Array }
  | { kind: 'text' | 'digit'; at: number; value: string }

function apply(bytes: Uint8Array, damage: Damage): Uint8Array {
  const at = bytes.length === 0 ? 0 : damage.at % bytes.length
  switch (damage.kind) {
    case 'set':
      return spliced(bytes, at, 1, Uint8Array.of(damage.value))
    case 'flip':
      return spliced(bytes, at, 1, Uint8Array.of((bytes[at] ?? 0) ^ (1 << damage.value)))
    case 'cut':
      return bytes.slice(0, at)
    case 'remove':
      return spliced(bytes, at, damage.value, new Uint8Array())
    case 'insert':
      return spliced(bytes, at, 0, damage.value)
    case 'text':
      return spliced(bytes, at, damage.at % 2, new TextEncoder().encode(damage.value))
    case 'digit': {
      // In place of a digit, so that the header stays well formed and its numbers become absurd.
      const places = [...bytes.keys()].filter((i) => (bytes[i] ?? 0) >= 0x30 && (bytes[i] ?? 0) <= 0x39)
      const place = places[damage.at % places.length] ?? at
      return withLength(spliced(bytes, place, 1, new TextEncoder().encode(damage.value)), damage.value.length - 1)
    }
  }
}

/** Adds to the length in a safetensors or npy prefix, so that the damage is read as part of the header. */
function withLength(bytes: Uint8Array, more: number): Uint8Array {
  const at = bytes[0] === 0x93 ? 8 : 0
  if (bytes.length < at + 2) return bytes
  const view = new DataView(bytes.buffer, bytes.byteOffset, bytes.byteLength)
  view.setUint16(at, view.getUint16(at, true) + more, true)
  return bytes
}

function spliced(bytes: Uint8Array, at: number, remove: number, insert: Uint8Array): Uint8Array {
  return Uint8Array.from([...bytes.slice(0, at), ...insert, ...bytes.slice(at + remove)])
}

/** The same bytes at an odd address inside a larger buffer, so that reading outside of them shows and alignment is lost. */
export function surrounded(bytes: Uint8Array): Uint8Array {
  const around = new Uint8Array(bytes.length + 64).fill(0xee)
  around.set(bytes, 33)
  return around.subarray(33, 33 + bytes.length)
}
