import { createWasmBackend } from '#wasm'
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
