import { CaptureError } from '../shapes/errors.js'
import { TensorRecord } from '../tensor/record.js'

/** What compiled functions take and give: tensors, in arrays and objects, beside anything else. */
export type Tree = unknown

const isPlain = (value: object): boolean => {
  const prototype: unknown = Object.getPrototypeOf(value)
  return prototype === Object.prototype || prototype === null
}

/** The same structure with every tensor replaced. */
export function mapTensors(tree: Tree, replace: (record: TensorRecord) => unknown): unknown {
  if (tree instanceof TensorRecord) return replace(tree)
  if (Array.isArray(tree)) return tree.map((item) => mapTensors(item, replace))
  if (typeof tree !== 'object' || tree === null || !isPlain(tree)) return tree
  return Object.fromEntries(Object.entries(tree).map(([key, item]) => [key, mapTensors(item, replace)]))
}

/** Nobody nests deeper, except what holds itself. */
const deepest = 1000

/**
 * What arrays and plain objects hold, in order: tensors and anything else.
 *
 * Throws: `CaptureError` for what holds itself, which has no end.
 */
export function* leavesOf(tree: Tree, depth = 0): Generator<unknown> {
  if (depth > deepest) {
    const remedy = 'take or return only the tensors that are needed'
    throw new CaptureError(
      `compile: an argument or result holds itself, or arrays and objects ${deepest} deep; ${remedy}.`,
    )
  }
  if (Array.isArray(tree)) for (const item of tree) yield* leavesOf(item, depth + 1)
  else if (typeof tree === 'object' && tree !== null && !(tree instanceof TensorRecord) && isPlain(tree))
    for (const item of Object.values(tree)) yield* leavesOf(item, depth + 1)
  else yield tree
}

/** Tensors in what is neither an array nor a plain object: out of reach for a program. */
export function heldBy(leaf: unknown): readonly TensorRecord[] {
  if (typeof leaf !== 'object' || leaf === null || leaf instanceof TensorRecord) return []
  const values: Iterable<unknown> = leaf instanceof Map || leaf instanceof Set ? leaf.values() : Object.values(leaf)
  return [...values].filter((value) => value instanceof TensorRecord)
}

/** Whether an argument is data, copied into the program with each run. Parameters and buffers are used by identity. */
export const isData = (leaf: unknown): leaf is TensorRecord => leaf instanceof TensorRecord && leaf.role === undefined

/**
 * Structure, shapes and dtypes as text: equal texts share a program. Numbers and strings in it are part of the program,
 * and so are models, parameters and other objects, by identity.
 *
 * Throws: `CaptureError` for typed arrays, and for tensors in what is no array, plain object or model: the program would
 * keep the numbers of the first.
 */
export function signatureOf(tree: Tree): string {
  if (isData(tree)) return `${tree.dtype}[${tree.shape}]`
  if (Array.isArray(tree)) return `(${tree.map(signatureOf).join()})`
  if (typeof tree === 'object' && tree !== null && !(tree instanceof TensorRecord)) {
    if (ArrayBuffer.isView(tree)) {
      const remedy = 'make a tensor of it, or state the signature: compile([f32(32, 784)], …)'
      throw new CaptureError(
        `compile: an argument is a ${tree.constructor.name}, whose numbers would stay in the program; ${remedy}.`,
      )
    }
    // A model's own tensors are the model's.
    if (!isPlain(tree) && !('forward' in tree) && heldBy(tree).some(isData)) {
      const remedy = 'pass them in arrays and plain objects'
      throw new CaptureError(
        `compile: an argument is a ${tree.constructor.name} with tensors, whose values would stay in the program; ${remedy}.`,
      )
    }
    if (isPlain(tree))
      return `{${Object.entries(tree)
        .map(([key, item]) => `${JSON.stringify(key)}:${signatureOf(item)}`)
        .join()}}`
  }
  if (typeof tree === 'string') return JSON.stringify(tree)
  if (typeof tree === 'bigint') return `${tree}n`
  if (typeof tree === 'function' || typeof tree === 'symbol' || (typeof tree === 'object' && tree !== null))
    return `#${identityOf(tree)}`
  return Object.is(tree, -0) ? '-0' : String(tree)
}

const identities = new WeakMap<object, number>()
const symbols = new Map<symbol, number>()
let nextIdentity = 0

/** A number that no other object has. */
export function identityOf(value: object | symbol): number {
  const known = typeof value === 'symbol' ? symbols.get(value) : identities.get(value)
  if (known !== undefined) return known
  const fresh = nextIdentity++
  if (typeof value === 'symbol') symbols.set(value, fresh)
  else identities.set(value, fresh)
  return fresh
}
