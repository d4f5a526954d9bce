import { WasmPooling } from '../backends/wasm/pool/native.js'
import type { Native } from '../kernels/kernel.js'

/** What computes poolings, by backend. */
export const pool2dNative: Native = { wasm: new WasmPooling() }
