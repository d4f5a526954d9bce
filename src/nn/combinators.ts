import { CHILDREN } from '../model/module.js'
import { OptionError, ShapeError } from '../shapes/errors.js'
import { add } from '../ops/elementwise/add.js'
import { recordOf, type TensorRecord, typed } from '../tensor/record.js'
import type { Value } from '../ops/record.js'
import type { AddIntoFactory, Module, RepeatedFactory, ResidualFactory, SplitIntoFactory } from './module.js'
import { Printed } from './table.js'

function sumOf(op: string, a: TensorRecord, b: TensorRecord): TensorRecord {
  if (a.shape.join() !== b.shape.join()) {
    const message = `${op}: block maps [${a.shape.join(', ')}] to [${b.shape.join(', ')}]; both sides of a sum have one shape.`
    throw new ShapeError(message, { op, shapes: [a.shape, b.shape] })
  }
  return recordOf(add(typed<Value>(a), typed<Value>(b)))
}

class Residual extends Printed {
  constructor(readonly block: Module) {
    super()
  }
  forward(x: unknown): TensorRecord {
    return sumOf('residual', recordOf(x), recordOf(this.block.forward(x)))
  }
  describe(): string {
    return 'residual'
  }
}

/**
 * Adds a block's output to its input: `y = x + block(x)`.
 * Shapes: `x: S → S`; the block keeps the shape.  Throws: `ShapeError` when it does not.
 * Torch: `x + block(x)` in a forward. Parameter paths begin with `block.`.
 * @example residual(sequential(linear(64, 64), relu()))
 */
export const residual = ((block: Module) => new Residual(block)) as unknown as ResidualFactory

class AddInto extends Printed {
  constructor(
    readonly a: Module,
    readonly b: Module,
  ) {
    super()
  }
  forward(x: unknown): TensorRecord {
    return sumOf('addInto', recordOf(this.a.forward(x)), recordOf(this.b.forward(x)))
  }
  describe(): string {
    return 'addInto'
  }
}

/**
 * The sum of two modules on the same input: `y = a(x) + b(x)`.
 * Shapes: both give one shape.  Throws: `ShapeError` when they do not.
 * Torch: `a(x) + b(x)` in a forward. Parameter paths begin with `a.` and `b.`.
 * @example addInto(linear(64, 10), sequential(linear(64, 32), relu(), linear(32, 10)))
 */
export const addInto = ((a: Module, b: Module) => new AddInto(a, b)) as unknown as AddIntoFactory

class SplitInto extends Printed {
  constructor(readonly branches: readonly Module[]) {
    super()
  }
  get [CHILDREN](): readonly Module[] {
    return this.branches
  }
  forward(x: unknown): unknown[] {
    return this.branches.map((branch) => branch.forward(x))
  }
  describe(): string {
    return `splitInto ${this.branches.length}`
  }
}

/**
 * Several heads on one input: `[branch_0(x), branch_1(x), …]`, all on x's tape.
 * Torch: a tuple of modules in a forward. Parameter paths begin with the branch's index.
 * @example const [policy, value] = splitInto(linear(64, 4), linear(64, 1)).forward(features)
 */
export const splitInto = ((...branches: readonly Module[]) => new SplitInto(branches)) as unknown as SplitIntoFactory

class Repeated extends Printed {
  readonly blocks: readonly Module[]
  constructor(
    readonly count: number,
    block: (index: number) => Module,
  ) {
    super()
    if (!Number.isInteger(count) || count < 1)
      throw new OptionError(`repeated: the count must be a positive integer, got ${count}.`, { op: 'repeated' })
    this.blocks = Array.from({ length: count }, (_, index) => block(index))
  }
  get [CHILDREN](): readonly Module[] {
    return this.blocks
  }
  forward(x: unknown): unknown {
    return this.blocks.reduce((value, block) => block.forward(value), x)
  }
  describe(): string {
    return `repeated ${this.count}`
  }
}

/**
 * `count` blocks of one kind after another, each with parameters of its own.
 * Shapes: `x: S → S`; the block keeps the shape.
 * Torch: `nn.Sequential(*[block() for _ in range(count)])`. Parameter paths begin with the block's index.
 * @example repeated(6, () => residual(linear(64, 64)))
 */
export const repeated = ((count: number, block: (index: number) => Module) =>
  new Repeated(count, block)) as unknown as RepeatedFactory
