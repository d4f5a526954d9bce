/**
 * The hand-written kernels: one module for each family, process, mode and kind of memory, built when first needed. A
 * program that multiplies matrices does not wait for the code of convolutions.
 */
import { ModuleBuilder } from './assembler.js'
import { newEntryId, type Target, targetKey } from './generated.js'
import type { Entry } from './launch.js'
import type { Mode } from './modes.js'

/** Adds the exported kernels of one family to a module. */
export type KernelFamily = (module: ModuleBuilder, mode: Mode) => unknown

interface KernelModule {
  readonly module: WebAssembly.Module
  readonly entries: Map<string, Entry>
}

const modules = new Map<KernelFamily, Map<string, KernelModule>>()

function kernelModule(target: Target, family: KernelFamily): KernelModule {
  let built = modules.get(family)
  if (!built) {
    built = new Map()
    modules.set(family, built)
  }
  const key = targetKey(target)
  let known = built.get(key)
  if (!known) {
    const builder = new ModuleBuilder({ shared: target.shared, maximum: target.maximumPages })
    family(builder, target.mode)
    known = { module: new WebAssembly.Module(builder.build()), entries: new Map() }
    built.set(key, known)
  }
  return known
}

/** The kernel that a family exports as `name`. */
export function kernelEntry(target: Target, family: KernelFamily, name: string): Entry {
  const { module, entries } = kernelModule(target, family)
  let entry = entries.get(name)
  if (!entry) {
    entry = { id: newEntryId(), module, name }
    entries.set(name, entry)
  }
  return entry
}
