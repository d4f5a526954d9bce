import type { Host, WasmBackendOptions } from './backend.js'
import { WasmBackend } from './backend.js'

const host: Host = { cores: 1, enableWide: () => 'needs Node 24 or newer on x64.' }

/** The wasm backend without threads: for browsers, and wherever Node's modules are absent. */
export function createWasmBackend(options: WasmBackendOptions = {}): WasmBackend {
  return new WasmBackend(options, host)
}
