/** A typed array's constructor. */
export interface ElementArray<A> {
  new (buffer: ArrayBufferLike, byteOffset: number, length: number): A
  readonly BYTES_PER_ELEMENT: number
}

/** Little-endian bytes seen as elements: a view if they are aligned, else a copy. */
export function elements<A>(array: ElementArray<A>, bytes: Uint8Array): A {
  const size = array.BYTES_PER_ELEMENT
  // Not `slice`: on a Node Buffer that is a view, as misaligned as the original.
  const aligned = bytes.byteOffset % size === 0 ? bytes : new Uint8Array(bytes)
  return new array(aligned.buffer, aligned.byteOffset, aligned.byteLength / size)
}

/** A copy in the other byte order. */
export function swapped(bytes: Uint8Array, size: number): Uint8Array {
  const out = new Uint8Array(bytes.length)
  for (let first = 0; first < bytes.length; first += size) {
    for (let i = 0; i < size; i++) out[first + i] = bytes[first + size - 1 - i] ?? 0
  }
  return out
}
