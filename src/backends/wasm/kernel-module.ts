/** The hand-written kernels: one module for each process, mode and kind of memory. */
import { ModuleBuilder } from './assembler.js'
import { addConvKernels } from './conv/index.js'
import { newEntryId, type Target, targetKey } from './generated.js'
import { defineIndexKernels } from './index-kernels.js'
import type { Entry } from './launch.js'
import { addMatmulKernels } from './matmul/index.js'
import { addPoolKernels } from './pool/index.js'

interface KernelModule {
  readonly module: WebAssembly.Module
  readonly entries: Map<string, Entry>
}

const modules = new Map<string, KernelModule>()

function kernelModule(target: Target): KernelModule {
  const key = targetKey(target)
  let known = modules.get(key)
  if (!known) {
    const builder = new ModuleBuilder({ shared: target.shared, maximum: target.maximumPages })
    defineIndexKernels(builder)
    addMatmulKernels(builder, target.mode)
    addConvKernels(builder, target.mode)
    addPoolKernels(builder, target.mode)
    known = { module: new WebAssembly.Module(builder.build()), entries: new Map() }
    modules.set(key, known)
  }
  return known
}

/** The hand-written kernel exported as `name`. */
export function kernelEntry(target: Target, name: string): Entry {
  const { module, entries } = kernelModule(target)
  let entry = entries.get(name)
  if (!entry) {
    entry = { id: newEntryId(), module, name }
    entries.set(name, entry)
  }
  return entry
}
