import { DeviceError } from '../../shapes/errors.js'
import type { Device } from '../../tensor/device.js'
import { deviceWorkspace } from './device-workspace.js'
import { countInfinite, floatBytes, type Wide } from './float-bytes.js'
import { hostWorkspace } from './host-workspace.js'
import type { ModelFiles } from './node-model-files.js'
import type { OutputFiles } from './node-output-files.js'
import { type BlendChunk, type Chunk, chunksOf, type OutputPlan } from './plan.js'
import { pipeline } from './pipeline.js'
import type { Task, Workspace } from './workspace.js'

/** What runs at the same time: a chunk is read, another is made, a third is written. */
const slots = 3
/** Memory for the chunks of all slots. */
const budget = 48 << 20
/** Small enough to be read, made and written in the cache: 512 MB take 1.1 s of processor time, with 2^19 or 2^16 1.5 s. */
const largestChunk = 1 << 18
const smallestChunk = 1 << 12
/** Bytes that an element takes in a buffer of each kind of workspace. */
const elementBytes = { f32: floatBytes.F32 + floatBytes.BF16, f64: floatBytes.F64 }

/** Elements of a chunk, so that all buffers fit the budget however many models there are. */
function chunkElements(models: number, wides: ReadonlySet<Wide>): number {
  const bytes = [...wides].reduce((sum, wide) => sum + elementBytes[wide], 0)
  const fitting = budget / (slots * models * bytes)
  return Math.max(smallestChunk, Math.min(largestChunk, 2 ** Math.floor(Math.log2(fitting))))
}

export interface CombineProgress {
  /** So many more bytes of the result are written. */
  readonly onWritten?: (bytes: number) => void
  readonly signal?: AbortSignal | undefined
}

/**
 * Makes the planned files chunk by chunk: memory stays the same however large the models are. f32 sums are kernels of
 * `device`, f64 sums loops on the host. Returns how many F16 numbers of the result are infinite.
 */
export async function combine(
  models: readonly ModelFiles[],
  outputs: readonly OutputPlan[],
  files: OutputFiles,
  device: Device,
  { onWritten, signal }: CombineProgress = {},
): Promise<number> {
  let infinite = 0
  const tensors = outputs.flatMap((plan) => plan.tensors.map(({ tensor }) => tensor))
  const buffers = Math.max(1, ...tensors.map(({ from, recipe }) => from.length + (recipe.scratch ?? 0)))
  // Bytes that are only copied go through buffers for f32.
  const wides = new Set<Wide>(['f32', ...tensors.map(({ wide }) => wide)])
  const elements = chunkElements(buffers, wides)
  const workspaces = Array.from({ length: slots }, () => new Slot(device, wides, buffers, elements))
  const stages = {
    read: (chunk: Chunk, slot: Slot) => read(models, chunk, slot),
    compute: (chunk: Chunk, slot: Slot) => {
      if (chunk.kind === 'copy') return
      slot.workspace(chunk.wide).run(taskOf(chunk))
      if (chunk.dtype === 'F16') infinite += countInfinite(resultOf(chunk, slot))
    },
    write: async (chunk: Chunk, slot: Slot) => {
      const bytes = resultOf(chunk, slot)
      const { length } = bytes
      await files.write(chunk.shard, bytes, chunk.position)
      onWritten?.(length)
    },
  }
  try {
    for (const [shard, plan] of outputs.entries()) {
      await files.write(shard, plan.head, 0)
      onWritten?.(plan.head.length)
    }
    await pipeline(chunksOf(outputs, elements), workspaces, stages, signal)
    return infinite
  } finally {
    for (const slot of workspaces) slot.release()
  }
}

/** The buffers of one chunk under way. */
class Slot {
  readonly #workspaces: ReadonlyMap<Wide, Workspace>

  /** All memory is taken now: taking more later could move what a read under way fills. */
  constructor(device: Device, wides: ReadonlySet<Wide>, buffers: number, elements: number) {
    const make = (wide: Wide) =>
      wide === 'f64' ? hostWorkspace(buffers, elements) : deviceWorkspace(device, buffers, elements)
    this.#workspaces = new Map([...wides].map((wide) => [wide, make(wide)]))
  }

  workspace(wide: Wide): Workspace {
    const workspace = this.#workspaces.get(wide)
    if (workspace) return workspace
    throw new DeviceError(`combine: no memory was taken for ${wide} sums; plan the outputs before they are made.`)
  }

  /** Where the bytes of a chunk that is only copied go. */
  copied(count: number): Uint8Array {
    return this.workspace('f32')
      .source(0, 'F32', Math.ceil(count / 4))
      .subarray(0, count)
  }

  release(): void {
    for (const workspace of this.#workspaces.values()) workspace.release()
  }
}

const taskOf = ({ recipe, sources, dtype, count }: BlendChunk): Task => {
  return { steps: recipe.steps, result: recipe.result, from: sources.map((one) => one.dtype), to: dtype, count }
}

/** Fills a slot from the models' files. */
async function read(models: readonly ModelFiles[], chunk: Chunk, slot: Slot): Promise<void> {
  if (chunk.kind === 'copy') {
    const { model, file, offset } = chunk.from
    await models[model]?.read(file, slot.copied(chunk.count), offset)
    return
  }
  const workspace = slot.workspace(chunk.wide)
  await Promise.all(
    chunk.sources.map(async ({ model, file, offset, dtype }, buffer) => {
      await models[model]?.read(file, workspace.source(buffer, dtype, chunk.count), offset)
    }),
  )
}

function resultOf(chunk: Chunk, slot: Slot): Uint8Array {
  return chunk.kind === 'copy' ? slot.copied(chunk.count) : slot.workspace(chunk.wide).result(taskOf(chunk))
}
