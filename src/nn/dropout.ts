import { dropout as dropoutOp } from '../ops/norm/dropout.js'
import type { Value } from '../ops/record.js'
import { OptionError } from '../shapes/errors.js'
import { recordOf, typed } from '../tensor/record.js'
import { isTraining } from './evaluating.js'
import type { Dropout } from './module.js'
import { Printed } from './table.js'

class DropoutLayer extends Printed {
  readonly name = 'dropout'
  constructor(readonly p: number) {
    super()
    if (!(p >= 0 && p <= 1))
      throw new OptionError(`dropout: p is a probability in [0, 1], got ${p}.`, { op: 'dropout' })
  }
  forward(x: unknown): unknown {
    return isTraining(x) ? dropoutOp(typed<Value>(recordOf(x)), { p: this.p, training: true }) : x
  }
  describe(): string {
    return `dropout(${this.p})`
  }
}

/**
 * On a taped input: zero with probability `p`, others divided by `1 − p`; otherwise, and in `inference(model)`, nothing.
 *
 * Shapes: `x: S → S`.  Gradient: through the elements that were kept, with the same factor.
 * Throws: `OptionError` when p is not in [0, 1].
 * Torch: `nn.Dropout(p)`; the tape decides here instead of `train()` and `eval()`.
 * Paper: Srivastava et al., "Dropout", JMLR 15, 2014.
 * @example sequential(linear(784, 512), relu(), dropout(0.2), linear(512, 10))
 */
export const dropout = (p = 0.5) => new DropoutLayer(p) as unknown as Dropout
