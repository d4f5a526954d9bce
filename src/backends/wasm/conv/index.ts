/**
 * Convolutions in two dimensions: forward and both gradients, for any window, stride, padding, dilation and groups.
 *
 * `addConvKernels` adds the kernels to a module, one for each mode; `prepareConv` turns a descriptor into
 * launches. Windows of one element are products of matrices (`asMatmul`), which add in the same order.
 *
 * What may be relied on:
 * - One arithmetic: in forward and in the gradient of the input every element is one sum, started from 0 and added to in
 *   the order of channels, then rows, then columns of what is read, whatever the tile or the number of threads; in the
 *   gradient of the weight the order depends on the sizes alone. Modes 'fma' and '256' give the same bits.
 * - Elements of the padding are zeros that are multiplied like others. In the gradient of the weight a NaN or infinite
 *   element of the input spoils all taps of its channel.
 * - Only the output's elements and the workspace are written. Up to 64 bytes past the end of the source are read.
 * - The output must not overlap what is read.
 */
import { i32, type ModuleBuilder } from '../assembler.js'
import { kernelParameters } from '../launch.js'
import type { Mode } from '../modes.js'
import { addCopyPlanes, addCopyStretch } from './copy-planes.js'
import { addDirect, addPack } from './direct.js'
import { convTiles } from './micro-kernels.js'
import { clearEntry } from './plan.js'
import { addWeight } from './weight.js'

export { asMatmul, prepareConv } from './plan.js'

export function addConvKernels(module: ModuleBuilder, mode: Mode): void {
  const stretch = addCopyStretch(module)
  const planes = addCopyPlanes(module, stretch)
  addPack(module)
  addDirect(module, convTiles[mode.name], planes)
  addWeight(module, mode, { planes, stretch })
  addClear(module)
}

/** Words: address, bytes. */
function addClear(module: ModuleBuilder): void {
  const f = module.function(clearEntry, kernelParameters, { export: true })
  const [params, thread] = f.params
  f.if(thread.eqz(), () => f.memoryFill(i32.load(params), 0, i32.load(params, 4)))
}
