import { PREPARE, type SavedState, type SavedTensor, type Stateful } from '../model/saved.js'
import { countField, requireSound } from '../model/state-fields.js'
import { Device } from '../tensor/device.js'
import type { DType } from '../shapes/dtype.js'
import { FormatError, OptionError } from '../shapes/errors.js'
import type { TypedArray } from '../tensor/elements.js'
import { prepareModel, rawOf, wholeTensorsOf } from './model-file.js'
import { decode, hostDType, type RawTensor } from './raw-tensor.js'
import { parseSafetensors, writeSafetensors } from './safetensors.js'

/** What a training consists of: models, optimizers, shadows, and the device, whose random numbers go on. */
export type CheckpointParts = Readonly<Record<string, object>>

/** Under this key of the metadata stands what is not a tensor. */
const key = 'dfdt.checkpoint'

const isStateful = (part: object): part is Stateful => PREPARE in part

/**
 * A whole training in one safetensors file, to go on from bit for bit: models by path, the states of optimizers and
 * shadows, the device's random numbers. Tensors are named `part/path`; everything else is in the metadata. A lazy shadow
 * is saved with what it has put off.
 *
 * Throws: `HalfWrittenError` naming a tensor that a broken run has left half-written; `OptionError` for a name with a
 * slash, or weights that are swapped with a shadow's.
 * Torch: `torch.save({ model: …, optimizer: …, ema: … })`.
 * @example await writeFile('run.safetensors', await saveCheckpoint({ model, optimizer, teacher, device: defaultDevice() }))
 */
export async function saveCheckpoint(
  parts: CheckpointParts,
  metadata: Readonly<Record<string, string>> = {},
): Promise<Uint8Array> {
  const raw = new Map<string, RawTensor>()
  const words: Record<string, unknown> = {}
  for (const [name, part] of Object.entries(parts)) {
    if (name.includes('/') || name === '')
      throw new OptionError(`saveCheckpoint: "${name}" is no name of a part; leave slashes out.`, { op: 'save' })
    if (part instanceof Device) words[name] = { kind: 'device', ...part.generator.state() }
    else if (isStateful(part)) {
      const { tensors, ...rest } = await part.state()
      words[name] = rest
      for (const [path, saved] of Object.entries(tensors)) raw.set(`${name}/${path}`, rawOf(saved, saved.data))
    } else {
      words[name] = { kind: 'model' }
      for (const { path, tensor } of wholeTensorsOf(part))
        raw.set(`${name}/${path}`, rawOf(tensor, await tensor.data()))
    }
  }
  return writeSafetensors(raw, { ...metadata, [key]: JSON.stringify(words, writeNumber) })
}

/**
 * Reads a checkpoint into what it was made of, in place. Everything is compared first: nothing is written unless all fits.
 * Returns the metadata.
 *
 * Throws: `FormatError` for a damaged or edited file, or one that is no checkpoint; `OptionError` for other parts, or an optimizer or
 * shadow of another kind; `ShapeError` listing tensors that do not fit.
 * Torch: `load_state_dict` of each part in turn, which leaves the first ones loaded when a later one fails.
 * @example loadCheckpoint({ model, optimizer, teacher, device: defaultDevice() }, await readFile('run.safetensors'))
 */
export function loadCheckpoint(
  parts: CheckpointParts,
  bytes: Uint8Array,
  { path }: { readonly path?: string } = {},
): Readonly<Record<string, string>> {
  const where = path ?? 'the file'
  const { tensors, metadata } = parseSafetensors(bytes, path)
  const { [key]: text, ...rest } = metadata
  const words = text === undefined ? undefined : parsed(text, where)
  if (!words) throw new FormatError(`load: ${where} is no checkpoint; a model's file is read by loadModel.`)
  const [here, there] = [Object.keys(parts), Object.keys(words)]
  const odd = [
    ...here.filter((name) => !there.includes(name)).map((name) => `the file has no part "${name}"`),
    ...there
      .filter((name) => !here.includes(name))
      .map((name) => `the file has a part "${name}", which is not asked for`),
  ]
  if (odd.length > 0) throw new OptionError(`load: ${odd.join('; ')}. Nothing was written.`, { op: 'load' })
  // A shadow may have put off work on its source, which must be there first.
  const ordered = Object.entries(parts).sort(([, a], [, b]) => Number(isStateful(a)) - Number(isStateful(b)))
  const writes = ordered.map(([name, part]) => {
    const own = new Map<string, RawTensor>()
    for (const [full, raw] of tensors) if (full.startsWith(`${name}/`)) own.set(full.slice(name.length + 1), raw)
    return prepared(name, part, words[name], own, where)
  })
  for (const write of writes) write()
  return rest
}

function prepared(
  name: string,
  part: object,
  words: unknown,
  tensors: ReadonlyMap<string, RawTensor>,
  where: string,
): () => void {
  if (!isWords(words)) throw new FormatError(`load: ${where} says nothing of "${name}"; it is damaged.`)
  if (part instanceof Device) {
    const { seed, draws } = words
    if (words.kind !== 'device')
      throw new OptionError(`load: "${name}" is a ${words.kind} in ${where}, not a device.`, { op: 'load' })
    requireSound('device', [countField('seed', seed), countField('draws', draws)])
    return () => part.generator.load({ seed: Number(seed), draws: Number(draws) })
  }
  if (isStateful(part)) {
    const saved = Object.fromEntries([...tensors].map(([path, raw]) => [path, savedTensor(raw)]))
    const state: SavedState = { version: 0, ...words, tensors: saved }
    return part[PREPARE](state)
  }
  if (words.kind !== 'model')
    throw new OptionError(`load: "${name}" is a ${words.kind} in ${where}, not a model.`, { op: 'load' })
  return prepareModel(part, tensors, `"${name}" of ${where}`)
}

interface Words {
  readonly kind: string
  readonly [more: string]: unknown
}
const isWords = (value: unknown): value is Words =>
  typeof value === 'object' && value !== null && 'kind' in value && typeof value.kind === 'string'

function savedTensor(raw: RawTensor): SavedTensor {
  const dtype: DType = hostDType(raw.dtype) ?? 'f32'
  const data: TypedArray = decode(raw, dtype)
  return { dtype, shape: raw.shape, data }
}

/** JSON has no infinities; a lazily put off hard copy has one. */
const writeNumber = (_: string, value: unknown): unknown =>
  typeof value === 'number' && !Number.isFinite(value) ? `#${value}` : value
const readNumber = (_: string, value: unknown): unknown =>
  typeof value === 'string' && /^#(NaN|-?Infinity)$/.test(value) ? Number(value.slice(1)) : value

function parsed(text: string, where: string): Record<string, unknown> {
  try {
    const value: unknown = JSON.parse(text, readNumber)
    if (typeof value === 'object' && value !== null) return { ...value }
  } catch (cause) {
    throw new FormatError(`load: what ${where} says of the checkpoint is not JSON; it is damaged.`, { cause })
  }
  throw new FormatError(`load: what ${where} says of the checkpoint is no object; it is damaged.`)
}
