import type { Kernel, Operand, WithEpilogue } from '../kernels/kernel.js'
import { placed, touches } from '../kernels/places.js'
import type { DType } from '../shapes/dtype.js'
import { type Guard, NotAll, type Scalars } from '../tensor/recorder.js'
import type { Storage } from '../tensor/storage.js'

/** One scalar slot of a node: the `index`-th number of a source. */
export interface ScalarRef {
  readonly source: Scalars
  readonly index: number
}

/** A kernel of a captured function with the memory it works on. */
export interface Node {
  readonly kernel: Kernel
  /** In the order the kernel refers to them. */
  readonly storages: readonly Storage[]
  /** By slot. */
  readonly scalars: readonly ScalarRef[]
  /** All must hold, else nothing is read or written. */
  readonly guards: readonly Guard[]
  /** Written before this runs, though it does not read them. */
  readonly after: readonly Storage[]
}

/** Whether it runs only where a kernel that does the same and more does not. */
export const isAlternative = ({ guards }: Node): boolean => guards.some((guard) => guard instanceof NotAll)

/** Whether two never run both. */
export const areExclusive = (a: Node, b: Node): boolean => excludes(a, b) || excludes(b, a)

const excludes = (a: Node, b: Node): boolean =>
  a.guards.some((guard) => guard instanceof NotAll && guard.conditions.every((each) => b.guards.includes(each)))

/** Where a kernel touches memory. */
export interface Access {
  readonly storage: Storage
  readonly dtype: DType
  readonly write: boolean
}

const known = new WeakMap<Node, readonly Access[]>()

/** Every operand of a kernel in the order of its buffers; for `foreach` those of all its parts. */
export function accesses(node: Node): readonly Access[] {
  let found = known.get(node)
  if (!found) {
    found = accessesOf(node)
    known.set(node, found)
  }
  return found
}

function accessesOf({ kernel, storages, guards, after }: Node): Access[] {
  const found: Access[] = after.map((storage) => ({ storage, dtype: 'f32', write: false }))
  for (const guard of guards)
    if ('storage' in guard) found.push({ storage: guard.storage, dtype: 'bool', write: false })
  const note = (slot: number, dtype: DType, write: boolean): void => {
    const storage = storages[slot]
    if (storage) found.push({ storage, dtype, write })
  }
  if (kernel.kind === 'foreach') {
    for (const { place, dtype, write } of touches(kernel)) note(place.buffer, dtype, write)
    return found
  }
  const { reads, writes } = operandsOf(kernel)
  reads.forEach(({ dtype }, i) => {
    note(i, dtype, false)
  })
  writes.forEach(({ dtype }, i) => {
    note(reads.length + i, dtype, true)
  })
  // What is added to is read as well.
  if (kernel.kind === 'scatter') note(2, kernel.output.dtype, false)
  return found
}

type Strided = Exclude<Kernel, { kind: 'foreach' }>

/** The operands of a kernel: the buffers it is run with are the reads, then the writes. */
export function operandsOf(kernel: Strided): { reads: readonly Operand[]; writes: readonly Operand[] } {
  switch (kernel.kind) {
    case 'map':
      return { reads: kernel.inputs, writes: kernel.outputs }
    case 'reduce':
      return { reads: kernel.inputs, writes: [kernel.output] }
    case 'rows':
      return { reads: kernel.inputs, writes: kernel.stages.flatMap(({ output }) => output ?? []) }
    case 'matmul':
    case 'conv2d':
      return { reads: [kernel.a, kernel.b, ...(kernel.epilogue?.inputs ?? [])], writes: [kernel.output] }
    case 'pool2d':
      return { reads: [...kernel.inputs, ...(kernel.epilogue?.inputs ?? [])], writes: [kernel.output] }
    case 'gather':
    case 'scatter':
      return { reads: [kernel.source, kernel.index], writes: [kernel.output] }
  }
}

/** The kernel with each operand moved by `by(slot, dtype)` elements. */
export function moved(kernel: Kernel, by: (slot: number, dtype: DType) => number): Kernel {
  const move = (operand: Operand, slot: number): Operand => ({
    ...operand,
    offset: operand.offset + by(slot, operand.dtype),
  })
  switch (kernel.kind) {
    case 'map':
      return {
        ...kernel,
        inputs: kernel.inputs.map(move),
        outputs: kernel.outputs.map((operand, i) => move(operand, kernel.inputs.length + i)),
      }
    case 'reduce':
      return { ...kernel, inputs: kernel.inputs.map(move), output: move(kernel.output, kernel.inputs.length) }
    case 'rows': {
      let slot = kernel.inputs.length
      const stages = kernel.stages.map((stage) =>
        stage.output ? { ...stage, output: move(stage.output, slot++) } : stage,
      )
      return { ...kernel, inputs: kernel.inputs.map(move), stages }
    }
    case 'pool2d':
      return { ...kernel, inputs: kernel.inputs.map(move), ...movedEnd(kernel, kernel.inputs.length, move) }
    case 'matmul':
    case 'conv2d':
      return { ...kernel, a: move(kernel.a, 0), b: move(kernel.b, 1), ...movedEnd(kernel, 2, move) }
    case 'gather':
    case 'scatter':
      return { ...kernel, source: move(kernel.source, 0), index: move(kernel.index, 1), output: move(kernel.output, 2) }
    case 'foreach':
      return placed(kernel, ({ buffer, offset }, dtype) => ({ buffer, offset: offset + by(buffer, dtype) }))
  }
}

/** The output and the epilogue's inputs, which are the operands from `first` on, moved. */
function movedEnd(
  { output, epilogue }: WithEpilogue,
  first: number,
  move: (operand: Operand, slot: number) => Operand,
): Pick<WithEpilogue, 'output' | 'epilogue'> {
  const inputs = epilogue?.inputs.map((operand, i) => move(operand, first + i)) ?? []
  const end = { output: move(output, first + inputs.length) }
  return epilogue ? { ...end, epilogue: { ...epilogue, inputs } } : end
}
