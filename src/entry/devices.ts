import { createWasmBackend } from '#wasm'
import { createReferenceBackend } from '../backends/reference/index.js'
import type { WasmBackendOptions } from '../backends/wasm/backend.js'
import { Device } from '../tensor/device.js'

/**
 * A device that computes in WebAssembly: SIMD, all cores in Node. f32, i32, u32 and bool. The default device is one.
 *
 * Throws: `DeviceError` when a mode is asked for that the engine cannot run.
 * @example setDefaultDevice(wasmDevice({ threads: 1 }))
 */
export function wasmDevice(options: WasmBackendOptions = {}): Device {
  return new Device(createWasmBackend(options))
}

/**
 * A device of plain loops in f64 and f32, written to be read and trusted, not to be fast: for checking others and for
 * gradient checks in f64.
 * @example const x = tensor([1, 2], { dtype: 'f64', device: referenceDevice() })
 */
export function referenceDevice(): Device {
  return new Device(createReferenceBackend())
}
