import { createWasmBackend } from '#wasm'
import type { WasmBackendOptions } from '../backends/wasm/backend.js'
import { Device } from '../tensor/device.js'

/**
 * A device that computes in WebAssembly: SIMD, all cores. All dtypes but f64. The default device is one.
 *
 * In a cross-origin isolated page kernels run on workers while the calling thread goes on: read with `await`. `threads: 1`
 * computes on the calling thread, as in other pages, and then `itemSync()` and its kin are always there.
 *
 * Throws: `DeviceError` when a mode is asked for that the engine cannot run.
 * @example setDefaultDevice(wasmDevice({ threads: 1 }))
 */
export function wasmDevice(options: WasmBackendOptions = {}): Device {
  return new Device(createWasmBackend(options))
}
