import { type ModelTensor, tensorsOf, untied } from '../model/walk.js'
import { DeviceError, ShapeError } from '../shapes/errors.js'
import { type DType, isFloat, isHalf } from '../shapes/dtype.js'
import { type TypedArray, toBytes } from '../tensor/elements.js'
import { decode, encode, type FileDType, type HostArrays, hostDType, type RawTensor } from './raw-tensor.js'
import { parseSafetensors, writeSafetensors } from './safetensors.js'

/**
 * A model's parameters and buffers as a safetensors file, by path; tied tensors once, under their first path.
 *
 * Throws: `HalfWrittenError` naming a tensor that a broken run has left half-written.
 * Torch: `safetensors.torch.save_model(model, path, metadata)`.
 * @example await writeFile('teacher.safetensors', await saveModel(teacher, { job: 'mnist' }))
 */
export async function saveModel(model: object, metadata: Readonly<Record<string, string>> = {}): Promise<Uint8Array> {
  const entries = wholeTensorsOf(model)
  const raw = await Promise.all(
    entries.map(async (entry) => [entry.path, rawOf(entry.tensor, await entry.tensor.data())] as const),
  )
  return writeSafetensors(new Map(raw), { ...metadata })
}

/** `saveModel` without waiting, where the device can block. Throws: `DeviceError` where it cannot, and as `saveModel`. */
export function saveModelSync(model: object, metadata: Readonly<Record<string, string>> = {}): Uint8Array {
  const entries = wholeTensorsOf(model)
  const raw = entries.map((entry) => [entry.path, rawOf(entry.tensor, entry.tensor.dataSync())] as const)
  return writeSafetensors(new Map(raw), { ...metadata })
}

/** Throws: `HalfWrittenError` naming the first tensor that a broken run has left half-written. */
export function wholeTensorsOf(model: object): ModelTensor[] {
  const entries = untied(tensorsOf(model))
  for (const { path, tensor } of entries) tensor.storage.requireWhole(`save: "${path}"`)
  for (const { tensor } of entries) tensor.storage.requireOwn()
  return entries
}

export function rawOf({ dtype, shape }: { dtype: DType; shape: readonly number[] }, data: TypedArray): RawTensor {
  if (data instanceof Uint8Array) return encode(Uint32Array.from(data), 'bool', shape)
  if (data instanceof Float64Array) return encode(data, 'f64', shape)
  if (data instanceof Float32Array) return encode(data, isHalf(dtype) ? dtype : 'f32', shape)
  if (data instanceof Int32Array) return encode(data, 'i32', shape)
  if (dtype === 'u32') return encode(data, 'u32', shape)
  throw new DeviceError(`save: the device returned ${dtype} elements in an unexpected array.`)
}

/**
 * Reads a safetensors file into a model, in place, tensor by tensor of equal path and shape. Floats are read by a model of
 * equal or wider floats, F16 and BF16 by f16 and bf16 models and by f32 ones, but never rounded: load such a file into a
 * model like it, then `convert` that. Returns the file's metadata.
 *
 * Throws: `FormatError` when the file is damaged (`path` names it), `ShapeError` listing every tensor that is missing,
 * extra, or of another shape or dtype; either way nothing is written.
 * Torch: `safetensors.torch.load_model(model, path)`.
 * @example loadModel(model, await readFile('teacher.safetensors'))
 */
export function loadModel(
  model: object,
  bytes: Uint8Array,
  { path }: { readonly path?: string } = {},
): Readonly<Record<string, string>> {
  const { tensors, metadata } = parseSafetensors(bytes, path)
  prepareModel(model, tensors, path)()
  return metadata
}

/** What writes the tensors of a file into a model. Throws: `ShapeError`, as `loadModel`. */
export function prepareModel(model: object, tensors: ReadonlyMap<string, RawTensor>, path?: string): () => void {
  const entries = tensorsOf(model)
  const problems: string[] = []
  const writes: (readonly [ModelTensor, Uint8Array])[] = []
  for (const entry of untied(entries)) {
    const { tensor } = entry
    const needed = `[${tensor.shape.join(', ')}] ${tensor.dtype}`
    // A file may hold a tied tensor under any of its names, or under several.
    const names = entries.flatMap(({ path, tiedTo }) => (path === entry.path || tiedTo === entry.path ? [path] : []))
    const found = names.flatMap((name) => tensors.get(name) ?? [])
    const [raw] = found
    if (!raw) problems.push(`the file has no "${entry.path}" (${needed})`)
    else if (found.slice(1).some((other) => !sameBytes(other, raw)))
      problems.push(`"${names.join('" and "')}" are tied in the model but differ in the file`)
    else if (raw.shape.join() !== tensor.shape.join() || !readableAs(raw.dtype, tensor.dtype))
      problems.push(`"${entry.path}" is [${raw.shape.join(', ')}] ${raw.dtype} in the file but ${needed} in the model`)
    else writes.push([entry, deviceBytes(raw, tensor.dtype)])
  }
  const known = new Set(entries.map((entry) => entry.path))
  for (const [name, raw] of tensors)
    if (!known.has(name))
      problems.push(`the file has "${name}" ([${raw.shape.join(', ')}] ${raw.dtype}), which the model has not`)
  if (problems.length > 0) {
    const where = path === undefined ? 'the file' : path
    const message = `load: ${where} does not fit the model; nothing was written:\n  ${problems.join('\n  ')}`
    throw new ShapeError(message, { op: 'load', ...(path !== undefined && { path }) })
  }
  for (const [{ tensor }] of writes) tensor.storage.requireOwn()
  return () => {
    for (const [{ tensor }, data] of writes) tensor.storage.write(tensor.offset, data)
  }
}

const sameBytes = (a: RawTensor, b: RawTensor): boolean =>
  a.dtype === b.dtype && a.shape.join() === b.shape.join() && a.bytes.every((byte, i) => byte === b.bytes[i])

/** Floats read as floats of at least their precision, integers as integers, bool as bool. */
function readableAs(file: FileDType, dtype: DType): boolean {
  const host = hostDType(file)
  if (host === undefined) return false
  if (host === dtype) return true
  if (dtype === 'f32') return isHalf(host)
  if (dtype === 'f64') return isFloat(host)
  if (isHalf(dtype)) return false
  if (dtype === 'bool' || host === 'bool') return dtype === host
  return host === 'i32' || host === 'u32'
}

function deviceBytes(raw: RawTensor, dtype: DType): Uint8Array {
  const values: HostArrays[DType] = decode(raw, dtype)
  return toBytes(values, dtype)
}
