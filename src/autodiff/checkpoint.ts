import { mul } from '../ops/elementwise/mul.js'
import { record, type Value } from '../ops/record.js'
import { sum } from '../ops/reduce/sum.js'
import { ShapeError } from '../shapes/errors.js'
import { recordOf, TensorRecord, typed } from '../tensor/record.js'
import type { HostScalars } from '../tensor/recorder.js'
import { scope } from '../tensor/scope.js'
import { type Tape, withTape } from '../tensor/tape.js'
import type { AnyTensor } from '../tensor/tensor.js'
import { backwardRecord } from './backward.js'

/**
 * Trades time for memory: what `fn` computes on the way is released at once, and computed again when the gradient
 * needs it. Values and gradients are the same bits; random numbers (dropout) repeat.
 *
 * `fn` takes one tensor and gives one. On an untaped input it is just called. Layers that count (batch norm) would
 * count twice: keep them outside, or in `inference`.
 *
 * Throws: `ShapeError` when `fn` does not return a tensor.
 * Torch: `torch.utils.checkpoint.checkpoint(fn, x)`.
 * Paper: Chen, Xu, Zhang, Guestrin, "Training deep nets with sublinear memory cost", 2016.
 * @example const y = checkpoint((h) => block.forward(h), x)
 */
export function checkpoint<X extends AnyTensor, Y extends AnyTensor>(fn: (x: X) => Y, x: X): Y {
  const input = recordOf(x)
  const call = (from: TensorRecord): TensorRecord => {
    const result: unknown = fn(typed<X>(from))
    if (result instanceof TensorRecord) return result
    throw new ShapeError('checkpoint: the function must return one tensor; join several with concat or stack.', {
      op: 'checkpoint',
    })
  }
  return typed<Y>(input.recording ? checkpointed(call, input) : call(input))
}

function checkpointed(call: (x: TensorRecord) => TensorRecord, x: TensorRecord): TensorRecord {
  const { device } = x
  const numbers: HostScalars[] = []
  const traced = () => x.detach().trace()
  const made = device.noteScalars(numbers, () => scope(() => call(traced())))
  const tape = made.recording
  if (!tape) return made
  const parameters = parametersOf(tape)
  const output = made.view()
  for (const { output: result, owned, inputs } of tape.consume())
    for (const own of [result, ...owned, ...inputs.filter((input) => input.source)]) own.dispose(fate)

  /** One more forward, and backward from `dy`: gradients of the targets, of the input where no target is given. */
  const again = (dy: TensorRecord, targets: readonly TensorRecord[] | undefined): TensorRecord[] =>
    device.after(dy.storage, () =>
      device.replayScalars(numbers, () =>
        withTape(() => {
          const input = traced()
          const loss = recordOf(sum(mul(typed<Value>(call(input)), typed<Value>(dy))))
          const gradients = backwardRecord(loss)
          const found = (targets ?? [input]).map((target) => gradients.get(target).view())
          if (targets && x.trained) found.push(gradients.get(input).view())
          gradients.dispose()
          loss.dispose()
          return found
        }),
      ),
    )
  // The gradients for one dy come together; each is handed out once.
  let ready: { readonly dy: TensorRecord; readonly gradients: (TensorRecord | undefined)[] } | undefined
  const gradientAt = (slot: number) => (incoming: Value) => {
    const dy = recordOf(incoming)
    if (ready?.dy !== dy) {
      const gradients = scope(() => again(dy, parameters))
      // They outlive the scope of this one vjp.
      for (const gradient of gradients) gradient.leaveScope()
      ready = { dy, gradients }
    }
    const gradient = ready.gradients[slot]
    ready.gradients[slot] = undefined
    return typed<Value>(gradient ?? dy)
  }
  const ofInput = x.trained
    ? gradientAt(parameters.length)
    : (dy: Value) => typed<Value>(again(recordOf(dy), undefined)[0] ?? recordOf(dy))
  return record('checkpoint', output, [x, ...parameters], [ofInput, ...parameters.map((_, slot) => gradientAt(slot))])
}

const fate = 'checkpoint() released it; return it from the function to keep it'

/** The trainable parameters that took part. */
function parametersOf(tape: Tape): TensorRecord[] {
  const found = new Set<TensorRecord>()
  for (const entry of tape.entries) {
    for (const input of entry.inputs) {
      const origin = input.source ?? input
      if (origin.role === 'parameter' && !origin.frozen) found.add(origin)
    }
  }
  return [...found]
}
