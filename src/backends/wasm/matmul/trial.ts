import { ModuleBuilder } from '../assembler.js'
import { addMicroKernel } from './micro-kernels.js'
import { columnsOf, type Tile } from './tile.js'

/** Steps of one round: packed panels of this length stay in the nearest cache. */
const steps = 256
/** Addresses of panels and results in one page of memory. */
const [panelA, panelB, result] = [1024, 16384, 49152]

/** A module whose `trial(rounds)` computes full tiles from packed panels, and the operations of one round. */
export function tileTrial(tile: Tile): { readonly module: WebAssembly.Module; readonly operations: number } {
  const module = new ModuleBuilder({ maximum: 1 })
  const micro = addMicroKernel(module, 'tile', tile.rows, tile.vectors, { fma: tile.fma, columns: !tile.fma })
  const f = module.function('trial', ['i32'], { export: true })
  const [rounds] = f.params
  const width = columnsOf(tile) * 4
  f.while(rounds.gt(0), () => {
    f.call(micro, [steps, panelA, 4, tile.rows * 4, panelB, width, result, width, result, width])
    f.inc(rounds, -1)
  })
  return {
    module: new WebAssembly.Module(module.build()),
    operations: 2 * tile.rows * columnsOf(tile) * steps,
  }
}
