import { input } from '../kernels/expr.js'
import { OptionError } from '../shapes/errors.js'
import { emptyTensor, TensorRecord } from '../tensor/record.js'
import type { MapKernel } from '../kernels/kernel.js'
import type { DType } from '../shapes/dtype.js'
import { type AverageOf, isAverage } from './averaged.js'
import { copyAllInto } from './foreach.js'
import { unfreeze } from './freeze.js'
import { inheritStart } from './start.js'
import { isModule } from './walk.js'

/**
 * A copy of a model with memory of its own, laid out like the original; ties stay ties, frozen stays frozen.
 * Fields that are tensors, modules, arrays and plain objects of them are copied; anything else is shared. The copy of an
 * average, `clone(shadow.model)`, is a model like its source: it can be trained.
 *
 * Throws: `OptionError` when a module keeps a function in a field (`forward = (x) => …`): it would go on using the
 * original's parameters; make the model a class, and this a method of it. Private `#fields` cannot be copied: use TypeScript's `private`.
 * Torch: `copy.deepcopy(model)`.
 * @example const teacher = clone(student)
 */
export function clone<M extends object>(model: AverageOf<M>): M
export function clone<M extends object>(model: M): M
export function clone(model: object): object {
  const made = convertModel('clone', model, (dtype) => dtype)
  if (isAverage(model)) unfreeze(made)
  return made
}

/**
 * A copy of a model in other dtypes, its values in one pass for each pair of them; the run time of `clone` and `convert`.
 * What is `shared` stays where it is, in both.
 */
export function convertModel(
  op: string,
  model: object,
  dtypeOf: (dtype: DType) => DType,
  shared: (tensor: TensorRecord) => boolean = () => false,
): object {
  const copies: (readonly [target: TensorRecord, source: TensorRecord])[] = []
  const made = copyModel(op, model, (source) => {
    if (shared(source)) return sharing(source)
    const target = emptyLike(source, source, dtypeOf(source.dtype))
    copies.push([target, source])
    return target
  })
  copyAllInto(copies.filter(([, { contiguous }]) => contiguous))
  for (const [target, source] of copies) if (!source.contiguous) copyStrided(target, source)
  return made
}

/** The model with each of its tensors replaced by what `copyOf` makes of it, once. */
export function copyModel(op: string, model: object, copyOf: (tensor: TensorRecord) => TensorRecord): object {
  const copies = new Map<object, object>()
  const copy = (value: unknown, path: string): unknown => {
    if (typeof value === 'function' && path !== '') throw closureError(op, path)
    if (typeof value !== 'object' || value === null) return value
    const known = copies.get(value)
    if (known) return known
    if (value instanceof TensorRecord) return remember(value, copyOf(value))
    const plain = Object.getPrototypeOf(value) === Object.prototype
    if (!Array.isArray(value) && !plain && !isModule(value)) return value
    const made: object = remember(value, Array.isArray(value) ? [] : Object.create(Object.getPrototypeOf(value)))
    for (const key of Reflect.ownKeys(value)) {
      const property = Object.getOwnPropertyDescriptor(value, key)
      if (!property || (Array.isArray(value) && key === 'length')) continue
      const name = path === '' ? String(key) : `${path}.${String(key)}`
      Object.defineProperty(
        made,
        key,
        'value' in property ? { ...property, value: copy(property.value, name) } : property,
      )
    }
    return made
  }
  const remember = <X extends object>(original: object, made: X): X => {
    copies.set(original, made)
    return made
  }
  return copy(model, '') as object
}

const closureError = (op: string, path: string) =>
  new OptionError(
    `${op}: the field "${path}" holds a function, which would keep using the original model; make the model a class, and this a method of it.`,
    { op },
  )

/** The same values in new memory, row-major; role, frozen state and start are those of `like`. */
export function copyTensor(values: TensorRecord, like: Pick<TensorRecord, 'role' | 'frozen'> = values): TensorRecord {
  const made = emptyLike(values, like)
  copyStrided(made, values)
  return made
}

function emptyLike(
  { device, shape, dtype }: TensorRecord,
  like: Pick<TensorRecord, 'role' | 'frozen'>,
  as = dtype,
): TensorRecord {
  const made = emptyTensor(device, as, shape, like.role)
  made.frozen = like.frozen
  inheritStart(made, like)
  return made
}

/** Another tensor on the same memory, with role, frozen state and start of its own. */
function sharing(source: TensorRecord): TensorRecord {
  const made = new TensorRecord(source.storage.retain(), source, source.role)
  made.frozen = source.frozen
  inheritStart(made, source)
  return made
}

function copyStrided(target: TensorRecord, source: TensorRecord): void {
  const kernel: MapKernel = {
    kind: 'map',
    shape: source.shape,
    inputs: [source.operand()],
    outputs: [target.operand()],
    exprs: [input(0, source.dtype).cast(target.dtype)],
  }
  target.device.run(kernel, [source.storage, target.storage])
}
