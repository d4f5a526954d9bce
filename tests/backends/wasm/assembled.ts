import type { ModuleBuilder } from '../../../src/backends/wasm/assembler.js'

/** Compiles a module around a fresh one-page memory. */
export function compileWith(m: ModuleBuilder, imports: WebAssembly.Imports = {}) {
  const { shared = false, maximum = 65536 } = m.options
  const memory = new WebAssembly.Memory({ initial: 1, maximum, shared })
  const instance = new WebAssembly.Instance(new WebAssembly.Module(m.build()), { ...imports, env: { memory } })
  return { exports: instance.exports, memory }
}

export function call(exports: WebAssembly.Exports, name: string, ...args: number[]): unknown {
  const f = exports[name]
  if (typeof f !== 'function') throw new TypeError(`no export ${name}`)
  return f(...args)
}
