import { checkShape, type Dims, type Shape, sameShape } from '../shapes/dim.js'
import type { DType } from '../shapes/dtype.js'
import { DTypeError, OptionError, ShapeError } from '../shapes/errors.js'
import { sizeOf } from '../shapes/strides.js'
import type { Device } from '../tensor/device.js'
import { fits, toBytes } from '../tensor/elements.js'
import { describe, emptyTensor, TensorRecord } from '../tensor/record.js'
import type { DataOf, Tensor } from '../tensor/tensor.js'

/** Shape and dtype of an argument, known before there is one. */
export interface Spec<S extends Shape = Shape, D extends DType = DType> {
  readonly shape: S
  readonly dtype: D
}
/** What an argument is, known before there is one: a tensor, or arrays and plain objects of them. */
export type SpecTree = Spec | readonly SpecTree[] | { readonly [name: string]: SpecTree }

const specOf =
  <D extends DType>(dtype: D) =>
  <const S extends Dims>(...shape: S): Spec<[...S], D> => {
    checkShape(dtype, shape)
    return { shape: [...shape], dtype }
  }

/** An f32 argument of the stated sizes: `compile([f32(32, 784)], …)`. */
export const f32 = specOf('f32')
/** An f16 argument of the stated sizes. */
export const f16 = specOf('f16')
/** A bf16 argument of the stated sizes. */
export const bf16 = specOf('bf16')
/** An i32 argument of the stated sizes. */
export const i32 = specOf('i32')
/** A u32 argument of the stated sizes. */
export const u32 = specOf('u32')
/** A bool argument of the stated sizes. */
export const bool = specOf('bool')

/** The tensors that stated arguments are. */
export type TensorsOf<Specs extends readonly SpecTree[]> = { [K in keyof Specs]: TensorOf<Specs[K]> }
// Of any tree, which is what the compiler asks first, there would be no end.
type TensorOf<T> = [SpecTree] extends [T]
  ? unknown
  : T extends Spec<infer S, infer D>
    ? Tensor<S, D>
    : { [K in keyof T]: TensorOf<T[K]> }

/** What may be passed for them: tensors, typed arrays, and numbers (or booleans) for scalars. */
export type ArgumentsOf<Specs extends readonly SpecTree[]> = { [K in keyof Specs]: ArgumentOf<Specs[K]> }
type ArgumentOf<T> = [SpecTree] extends [T]
  ? unknown
  : T extends Spec<infer S, infer D>
    ? Tensor<S, D> | DataOf<D> | (S extends [] ? (D extends 'bool' ? number | boolean : number) : never)
    : { [K in keyof T]: ArgumentOf<T[K]> }

const isSpec = (tree: SpecTree): tree is Spec => 'dtype' in tree && typeof tree.dtype === 'string'
const isList = (tree: unknown): tree is readonly unknown[] => Array.isArray(tree)

/** Throws: `OptionError` unless the signature is made of specs, in arrays and objects. */
export function checkSignature(specs: readonly unknown[]): void {
  const check = (tree: unknown, name: string): void => {
    if (typeof tree === 'object' && tree !== null) {
      const { shape, dtype } = tree as Partial<Spec>
      if (typeof dtype === 'string' && dtype in arrays && isList(shape)) return
      if (isList(tree)) {
        for (const [i, part] of tree.entries()) check(part, `${name}[${i}]`)
        return
      }
      if (Object.getPrototypeOf(tree) === Object.prototype) {
        for (const [field, part] of Object.entries(tree)) check(part, `${name}.${field}`)
        return
      }
    }
    const remedy = 'state f32(32, 784), i32(32), …, alone or in arrays and objects'
    throw new OptionError(`compile: ${name} of the signature is ${said(tree)}, which is no tensor; ${remedy}.`)
  }
  for (const [position, spec] of specs.entries()) check(spec, `argument ${position}`)
}

/** The structure of a signature with each spec replaced. */
export function mapSpecs(tree: SpecTree, replace: (spec: Spec) => unknown): unknown {
  if (isSpec(tree)) return replace(tree)
  if (isList(tree)) return tree.map((part) => mapSpecs(part, replace))
  return Object.fromEntries(Object.entries(tree).map(([name, part]) => [name, mapSpecs(part, replace)]))
}

/** The arguments of a stated signature as tensors, of which `own` are made here. */
export function admittedAll(
  device: Device,
  specs: readonly SpecTree[],
  args: readonly unknown[],
  own: TensorRecord[],
): readonly unknown[] {
  if (args.length !== specs.length) {
    const expected = specs.length === 1 ? '1 argument' : `${specs.length} arguments`
    throw new ShapeError(`compile: the function takes ${expected}, got ${args.length}.`)
  }
  const admittedTree = (spec: SpecTree, value: unknown, name: string): unknown => {
    if (isSpec(spec)) {
      const record = admitted(device, spec, value, name)
      if (record !== value) own.push(record)
      return record
    }
    if (isList(spec)) {
      if (isList(value) && value.length === spec.length)
        return spec.map((part, i) => admittedTree(part, value[i], `${name}[${i}]`))
      const got = isList(value) ? `${value.length}` : said(value)
      throw new ShapeError(`compile: ${name} must be an array of ${spec.length}, got ${got}.`)
    }
    if (typeof value !== 'object' || value === null || value instanceof TensorRecord) {
      const names = Object.keys(spec).join(', ')
      throw new ShapeError(`compile: ${name} must be an object with ${names}, got ${said(value)}.`)
    }
    const fields = value as { readonly [field: string]: unknown }
    return Object.fromEntries(
      Object.entries(spec).map(([field, part]) => [field, admittedTree(part, fields[field], `${name}.${field}`)]),
    )
  }
  return specs.map((spec, position) => admittedTree(spec, args[position], `argument ${position}`))
}

/** An argument as a tensor of the stated kind. */
function admitted(device: Device, spec: Spec, value: unknown, name: string): TensorRecord {
  const { shape, dtype } = spec
  const expected = `${name} must be a ${describe(spec)}`
  if (value instanceof TensorRecord) {
    if (!sameShape(value.shape, shape))
      throw new ShapeError(`compile: ${expected}, got a ${describe(value)}.`, { shapes: [shape, value.shape] })
    if (value.dtype !== dtype) throw new DTypeError(`compile: ${expected}, got ${value.dtype}.`)
    // A parameter is data here; as itself it would be used by identity.
    return value.role ? value.view() : value
  }
  const plain = typeof value === 'number' || (typeof value === 'boolean' && dtype === 'bool')
  if (typeof value === 'number' && dtype !== 'bool' && !fits(value, dtype))
    throw new DTypeError(`compile: ${expected}, got ${value}, which is no value of ${dtype}.`)
  const array = arrays[dtype]
  const data = plain && shape.length === 0 ? [value] : value instanceof array ? value : undefined
  if (!data) {
    throw new DTypeError(`compile: ${expected} or a ${array.name} of its elements, got ${said(value)}.`)
  }
  if (data.length !== sizeOf(shape)) {
    throw new ShapeError(`compile: ${expected} or its ${sizeOf(shape)} elements, got ${data.length} elements.`, {
      shapes: [shape],
    })
  }
  const made = emptyTensor(device, dtype, shape)
  made.storage.write(0, toBytes(data, dtype))
  return made
}

/** A value in a message. */
function said(value: unknown): string {
  if (value instanceof TensorRecord) return `a ${describe(value)}`
  if (typeof value === 'object') return value === null ? 'null' : (value.constructor?.name ?? 'an object')
  return typeof value === 'string' ? JSON.stringify(value) : String(value)
}

const arrays = {
  f64: Float64Array,
  f32: Float32Array,
  f16: Float32Array,
  bf16: Float32Array,
  i32: Int32Array,
  u32: Uint32Array,
  bool: Uint8Array,
}
