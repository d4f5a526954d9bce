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

/** The tensors of a structure, in order. */
export function tensorsIn(tree: Tree): TensorRecord[] {
  const found: TensorRecord[] = []
  mapTensors(tree, (record) => {
    found.push(record)
    return record
  })
  return found
}

/** Structure, shapes and dtypes as text: equal texts share a program. Numbers and strings in it are part of the code. */
export function signatureOf(tree: Tree): string {
  if (tree instanceof TensorRecord) return `${tree.dtype}[${tree.shape}]${tree.tape === 'taped' ? 't' : ''}`
  if (Array.isArray(tree)) return `(${tree.map(signatureOf).join()})`
  if (typeof tree === 'object' && tree !== null && isPlain(tree))
    return `{${Object.entries(tree).map(([key, item]) => `${JSON.stringify(key)}:${signatureOf(item)}`).join()}}`
  return typeof tree === 'function' || typeof tree === 'object' ? `#${identity(tree)}` : JSON.stringify(tree) ?? 'undefined'
}

const identities = new WeakMap<object, number>()
let nextIdentity = 0
/** Anything that is neither a tensor nor plain data is told apart by identity. */
function identity(value: object | null): number {
  if (value === null) return -1
  const known = identities.get(value) ?? nextIdentity++
  identities.set(value, known)
  return known
}
