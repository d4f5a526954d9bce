import { WasmConvolution } from '../backends/wasm/conv/native.js'
import type { Native } from '../kernels/kernel.js'

/** What computes convolutions, by backend. */
export const conv2dNative: Native = { wasm: new WasmConvolution() }
