import { type FunctionBuilder, ModuleBuilder } from './assembler.js'
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
export interface KernelBuilder {
  readonly module: ModuleBuilder
  readonly fn: FunctionBuilder<typeof kernelParameters, 'none'>
  /** Filled with the bit patterns of constants. */
  readonly constants: number[]
}

let nextId = 0
const cache = new Map<string, Generated>()

/** A number no other entry of this process has. */
export const newEntryId = (): number => nextId++

export const targetKey = ({ mode, shared, maximumPages }: Target): string =>
  `${mode.name}${shared ? 's' : ''}${maximumPages}`

/** The kernel with this structure, generated on first use in the process: sizes belong to blocks, never to code. */
export function generated(target: Target, structure: string, build: (kernel: KernelBuilder) => void): Generated {
  const key = `${targetKey(target)} ${structure}`
  const known = cache.get(key)
  if (known) return known
  const module = new ModuleBuilder({ shared: target.shared, maximum: target.maximumPages })
  const fn = module.function('run', kernelParameters, { export: true })
  const constants: number[] = []
  build({ module, fn, constants })
  const entry: Generated = { id: newEntryId(), module: new WebAssembly.Module(module.build()), name: 'run', constants }
  cache.set(key, entry)
  return entry
}
