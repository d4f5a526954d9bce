import { flatten2dRecord } from '../ops/conv/flatten2d.js'
import { recordOf } from '../tensor/record.js'
import type { Flatten2d } from './module.js'
import { Printed } from './table.js'

class Flatten2dLayer extends Printed {
  readonly name = 'flatten2d'
  forward(x: unknown): unknown {
    return flatten2dRecord(recordOf(x))
  }
  describe(): string {
    return 'flatten2d()'
  }
}

/**
 * Merges channels, height and width of images into one axis.
 * Shapes: `[…N, C, H, W] → […N, C·H·W]`.  Torch: `nn.Flatten(-3)`.
 * @example sequential(conv2d(1, 16, 3, { padding: 1 }), flatten2d(), linear(16 * 28 * 28, 10))
 */
export const flatten2d = () => new Flatten2dLayer() as unknown as Flatten2d
