import { malformed } from './malformed.js'
import { checkByteLength, type RawTensor } from './raw-tensor.js'
import { headerEnd, parseLayout, planSafetensors, prefixLength } from './safetensors-layout.js'

/** What a safetensors file holds. */
export interface Safetensors {
  /** The strings under `__metadata__`; empty if there are none. */
  readonly metadata: Record<string, string>
  /** In the order of the header. */
  readonly tensors: Map<string, RawTensor>
}

/**
 * Reads a safetensors file: 8 bytes of header length (u64, little endian), a JSON header, the tensors' bytes.
 * Every rule of the format is checked before anything is returned; no tensor is copied.
 *
 * Torch: `safetensors.torch.load(bytes)`, which gives tensors instead of raw bytes and no metadata. Two deliberate
 * differences: sub-byte element types (F4, F6) are refused, and so are fields the format does not know.
 *
 * @param path named in error messages
 * @throws FormatError with the byte offset and the tensor's name: header or data cut short or too long, a header that is
 * not the format's JSON, unknown dtypes, sizes beyond 2^53, offsets that do not match the shape, overlap or leave a hole,
 * a key given twice
 *
 * @example
 * const { metadata, tensors } = parseSafetensors(bytes)
 * for (const [name, raw] of tensors) console.log(name, raw.dtype, raw.shape)
 */
export function parseSafetensors(bytes: Uint8Array, path?: string): Safetensors {
  const fail = malformed('parseSafetensors', 'safetensors', path)
  const end = headerEnd(bytes.subarray(0, prefixLength), bytes.length, fail)
  const { metadata, entries, dataStart } = parseLayout(bytes.subarray(0, end), bytes.length, fail)
  const tensors = new Map<string, RawTensor>()
  for (const { name, dtype, shape, begin, end } of entries) {
    const offset = dataStart + begin
    tensors.set(name, { dtype, shape, bytes: bytes.subarray(offset, dataStart + end), origin: { name, offset } })
  }
  return { metadata, tensors }
}

/**
 * The bytes of a safetensors file, equal to those that the format's Python package writes: widest element type first,
 * then by name, header padded with spaces to 8 bytes, so every tensor is aligned.
 *
 * Torch: `safetensors.torch.save(tensors, metadata)`. With several metadata entries Python's order is random, ours is
 * that of the object.
 *
 * @throws FormatError if a name is `__metadata__` or not well-formed Unicode, a metadata value is not a string, or a
 * tensor's bytes are not those of its shape
 *
 * @example
 * const bytes = writeSafetensors(new Map([['bias', encode(Float32Array.of(1, 2), 'f32', [2])]]), { format: 'pt' })
 */
export function writeSafetensors(
  tensors: ReadonlyMap<string, RawTensor>,
  metadata: Readonly<Record<string, string>> = {},
): Uint8Array {
  const heads = [...tensors].map(([name, raw]) => {
    checkByteLength({ ...raw, origin: { name, offset: 0 } }, 'writeSafetensors')
    return { name, ...raw }
  })
  const plan = planSafetensors(heads, metadata)
  const out = new Uint8Array(plan.byteLength)
  out.set(plan.head)
  for (const { tensor, begin } of plan.tensors) out.set(tensor.bytes, plan.head.length + begin)
  return out
}
