import { type FunctionBuilder, ModuleBuilder, type ValueType } from './assembler.js'
import { type Entry, kernelParameters } from './launch.js'
import type { Tile } from './matmul/tile.js'
import type { Mode } from './modes.js'

/** What code is generated for: equal targets share modules. */
export interface Target {
  readonly mode: Mode
  /** Of products; part of no other kernel. */
  readonly tile: Tile
  /** Of the memory the modules import. */
  readonly shared: boolean
  readonly maximumPages: number
}

/** A generated kernel, with the constants its blocks must carry behind the scalars. */
export interface Generated extends Entry {
  readonly constants: readonly number[]
}

/** What a generator writes into. */
export interface KernelBuilder<P extends readonly ValueType[] = typeof kernelParameters> {
  readonly module: ModuleBuilder
  readonly fn: FunctionBuilder<P, 'none'>
  /** Filled with the bit patterns of constants. */
  readonly constants: number[]
}

// 0 stands for no entry.
let nextId = 1
/** The kernels asked for last, by structure. */
const recent = new Map<string, Generated>()
const mostRecent = 1024
/** All that still exist: programs and launches keep theirs, and share them with whoever asks again. */
const existing = new Map<string, WeakRef<Generated>>()
let sweepAt = 2 * mostRecent

/** A number no other entry of this process has. */
export const newEntryId = (): number => nextId++

export const targetKey = ({ mode, shared, maximumPages }: Target): string =>
  `${mode.name}${shared ? 's' : ''}${maximumPages}`

/** The kernel with this structure, generated on first use in the process: sizes belong to blocks, never to code. */
export const generated = (target: Target, structure: string, build: (kernel: KernelBuilder) => void): Generated =>
  generatedAs(kernelParameters, target, structure, build)

/** The same for a function that kernels call by way of the table. */
export const generatedPart = <const P extends readonly ValueType[]>(
  parameters: P,
  target: Target,
  structure: string,
  build: (kernel: KernelBuilder<P>) => void,
): Generated => generatedAs(parameters, target, structure, build, true)

function generatedAs<const P extends readonly ValueType[]>(
  parameters: P,
  target: Target,
  structure: string,
  build: (kernel: KernelBuilder<P>) => void,
  inTable = false,
): Generated {
  const key = `${targetKey(target)} ${structure}`
  const known = recent.get(key) ?? existing.get(key)?.deref()
  if (known) return remembered(key, known)
  const module = new ModuleBuilder({ shared: target.shared, maximum: target.maximumPages })
  const fn = module.function('run', parameters, { export: true })
  const constants: number[] = []
  build({ module, fn, constants })
  const compiled = new WebAssembly.Module(module.build())
  const entry: Generated = { id: newEntryId(), module: compiled, name: 'run', inTable, constants }
  existing.set(key, new WeakRef(entry))
  return remembered(key, entry)
}

/** Makes the kernel the last one asked for; the one asked for longest ago stays with those who have it. */
function remembered(key: string, entry: Generated): Generated {
  recent.delete(key)
  recent.set(key, entry)
  const [oldest] = recent.keys()
  if (oldest !== undefined && recent.size > mostRecent) recent.delete(oldest)
  if (existing.size > sweepAt) {
    for (const [structure, ref] of existing) if (!ref.deref()) existing.delete(structure)
    sweepAt = Math.max(2 * mostRecent, 2 * existing.size)
  }
  return entry
}
