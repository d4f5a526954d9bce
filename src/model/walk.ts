import { OptionError } from '../shapes/errors.js'
import { type Role, TensorRecord } from '../tensor/record.js'
import { CHILDREN } from './module.js'

/** One tensor of a model. */
export interface ModelTensor {
  /** Dotted and stable: `0.weight`, `encoder.1.bias`. */
  readonly path: string
  readonly role: Role
  readonly tensor: TensorRecord
  /** For a tied tensor: the path it was met under first. Such a tensor is updated once. */
  readonly tiedTo: string | undefined
}

const isObject = (value: unknown): value is object => typeof value === 'object' && value !== null

/** A model's part: something with a forward method. */
export const isModule = (value: unknown): value is { forward(x: unknown): unknown } =>
  isObject(value) && 'forward' in value && typeof value.forward === 'function'

/** The parts of a module or list with the path segment of each: what every walk over models is built on. */
export function* partsOf(node: object): Generator<readonly [segment: string, part: object]> {
  const list = CHILDREN in node ? node[CHILDREN] : node
  if (!isObject(list)) return
  for (const [segment, part] of Object.entries(list)) {
    if (isObject(part) && (part instanceof TensorRecord || Array.isArray(part) || isModule(part))) yield [segment, part]
  }
}

/**
 * Every tensor of a model in the order its fields were assigned: own fields of the model, of the modules in
 * them, and of arrays of modules. Tensors without a role (constants) are not part of a model.
 *
 * Throws: `OptionError` when a module contains itself.
 */
export function tensorsOf(model: object): ModelTensor[] {
  const found: ModelTensor[] = []
  const first = new Map<TensorRecord, string>()
  const above: object[] = []
  const visit = (node: object, path: string): void => {
    if (node instanceof TensorRecord) {
      if (!node.role) return
      found.push({ path, role: node.role, tensor: node, tiedTo: first.get(node) })
      if (!first.has(node)) first.set(node, path)
      return
    }
    if (above.includes(node))
      throw new OptionError(`The model contains itself at "${path}"; keep back references out of its fields.`)
    above.push(node)
    for (const [segment, part] of partsOf(node)) visit(part, path === '' ? segment : `${path}.${segment}`)
    above.pop()
  }
  visit(model, '')
  return found
}

/**
 * Whether a model still has exactly these tensors, in the order of `tensorsOf`, all alive: a walk that makes nothing,
 * so that what was worked out for a model can be used again.
 */
export function hasTensors(model: object, tensors: readonly TensorRecord[]): boolean {
  let next = 0
  const visit = (node: object): boolean => {
    if (node instanceof TensorRecord) return !node.role || (node === tensors[next++] && !node.disposed)
    const list = CHILDREN in node ? node[CHILDREN] : node
    if (!isObject(list)) return true
    for (const key of Object.keys(list)) {
      const part: unknown = Reflect.get(list, key)
      if (!isObject(part) || !(part instanceof TensorRecord || Array.isArray(part) || isModule(part))) continue
      if (next > tensors.length || !visit(part)) return false
    }
    return true
  }
  return visit(model) && next === tensors.length
}

/** Each tensor once, tied ones under their first path. */
export const untied = (tensors: readonly ModelTensor[]): ModelTensor[] => tensors.filter((t) => t.tiedTo === undefined)

/** Parameters that train: not frozen, tied ones once. */
export function trainableOf(model: object): ModelTensor[] {
  return untied(tensorsOf(model)).filter(({ role, tensor }) => role === 'parameter' && !tensor.frozen)
}
