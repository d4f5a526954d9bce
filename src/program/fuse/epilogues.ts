import { input, nodes as exprNodes } from '../../kernels/expr.js'
import { type Kernel, type MapKernel, type Operand, outputSize, type WithEpilogue } from '../../kernels/kernel.js'
import { sizeOf } from '../../shapes/strides.js'
import type { Storage } from '../../tensor/storage.js'
import { type Node, operandsOf } from '../node.js'
import {
  type Bound,
  boundOf,
  guardedAlike,
  isPacked,
  mostNodes,
  mostOperands,
  Operands,
  readsAt,
  respaced,
  rewired,
  sameOperand,
  type Sweep,
  sweepOf,
  unchanged,
  usesOf,
} from './sweep.js'

/** Moves a map into the product, convolution or pooling whose result it alone reads: bias, activation, mask. */
export function fuseEpilogues(program: readonly Node[], results: ReadonlySet<Storage>): Node[] {
  const list: (Node | undefined)[] = [...program]
  let uses = usesOf(list)
  for (let at = 0; at < list.length; at++) {
    const node = list[at]
    if (node?.kernel.kind !== 'map') continue
    const { kernel, storages } = node
    for (const [i, operand] of kernel.inputs.entries()) {
      const storage = storages[i]
      if (!storage?.captured || results.has(storage) || uses.readers.get(storage) !== 1) continue
      const [writer, ...others] = uses.writers.get(storage) ?? []
      const source = writer === undefined ? undefined : list[writer]
      if (!source || writer === undefined || others.length > 0 || writer >= at || !unchanged(list, writer, at)) continue
      const merged = withEpilogue(source, node, kernel, i, operand)
      if (!merged) continue
      list[writer] = undefined
      list[at] = merged
      uses = usesOf(list)
      break
    }
  }
  return list.filter((node) => node !== undefined)
}

/** The output of a kernel as a packed block of this many elements; undefined where it is not one from the start. */
function isPackedOutput(kernel: WithEpilogue): boolean {
  const { output } = kernel
  return output.offset === 0 && (kernel.kind !== 'matmul' || isPacked(output, [...kernel.batch, kernel.m, kernel.n]))
}

const canCarry = (kernel: Kernel): kernel is WithEpilogue =>
  kernel.kind === 'matmul' || kernel.kind === 'conv2d' || kernel.kind === 'pool2d'

/** The source with the map `node`, which reads its result as input `i`, as its epilogue. */
function withEpilogue(source: Node, node: Node, map: MapKernel, i: number, operand: Operand): Node | undefined {
  const { kernel } = source
  const [output, ...more] = map.outputs
  const target = node.storages.at(-1)
  const product = node.storages[i]
  if (!canCarry(kernel) || !isPackedOutput(kernel) || !output || !target || more.length > 0) return undefined
  if (!guardedAlike(source, node)) return undefined
  if (output.dtype !== kernel.output.dtype || !isPacked(output, map.shape)) return undefined
  if (operand.offset !== 0 || !isPacked(operand, map.shape)) return undefined
  // The product is read in this way only, and whole.
  const reads = node.storages.slice(0, -1)
  if (reads.some((storage, j) => storage === product && !sameOperand(map.inputs[j] ?? output, operand)))
    return undefined
  const whole = source.storages.at(-1) === product && outputSize(kernel) === sizeOf(map.shape)
  const own = source.storages.slice(0, -1)
  // Only maps and whole-model passes write to what lasts.
  if (!target.captured || !whole || own.includes(target) || reads.includes(target)) return undefined

  const before: Sweep = sweepOf(source) ?? { ...emptySweep(kernel), shape: map.shape }
  const behind = map.inputs.flatMap((one, j): Bound[] => {
    const storage = node.storages[j]
    return storage ? [{ operand: one, storage }] : []
  })
  const earlier = boundOf(before, source)
  // Either space will do that both can be seen from.
  const spaces = [map.shape, before.shape].flatMap((shape) => {
    const [a, b] = [
      respaced(earlier, before.shape, shape),
      respaced(
        behind.filter(({ storage }) => storage !== product),
        map.shape,
        shape,
      ),
    ]
    return a && b ? [{ shape, a, b }] : []
  })
  const [space] = spaces
  if (!space) return undefined
  const operands = new Operands()
  const [first] = before.exprs
  const inner = first
    ? rewired(first, node.scalars.length, (at, leaf) => (at === 0 ? leaf : readsAt(operands, 1, space.a[at - 1], leaf)))
    : input(0, kernel.output.dtype)
  const others = space.b.values()
  const seen = behind.map((bound) => (bound.storage === product ? undefined : others.next().value))
  const [expr] = map.exprs.map((e) =>
    rewired(e, 0, (at, leaf) => (seen[at] ? readsAt(operands, 1, seen[at], leaf) : inner)),
  )
  if (!expr || operands.list.length + 3 > mostOperands || exprNodes([expr]).length > mostNodes) return undefined
  const epilogue = { shape: space.shape, inputs: operands.list.map((bound) => bound.operand), expr }
  const carrier = source.storages.slice(0, before.first)
  return {
    kernel: { ...kernel, output: { ...kernel.output, offset: output.offset }, epilogue },
    storages: [...carrier, ...operands.list.map(({ storage }) => storage), target],
    scalars: [...node.scalars, ...source.scalars],
    guards: node.guards,
    after: [...new Set([...node.after, ...source.after])],
  }
}

/** Of a kernel that has no epilogue yet. */
const emptySweep = (kernel: WithEpilogue): Omit<Sweep, 'shape'> => ({
  inputs: [],
  exprs: [],
  first: operandsOf(kernel).reads.length,
  slot: 1,
  rebuilt: () => kernel,
})
