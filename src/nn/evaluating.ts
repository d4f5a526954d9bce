import { recordOf } from '../tensor/record.js'
import { isModule } from '../model/walk.js'

/** How many `inference` views are running forward right now. */
let depth = 0

/** Whether a layer with two modes should train: its input is taped and no `inference` view is running it. */
export const isTraining = (x: unknown): boolean => depth === 0 && recordOf(x).tape === 'taped'

const views = new WeakMap<object, object>()

/**
 * A view of a model, on the same parameters, that acts as at evaluation on taped inputs too: dropout passes through,
 * batch norm uses and keeps its running statistics. Gradients flow as ever. Views of parts work alike: frozen batch
 * norm is `inference(this.encoder).forward(x)`; leaving dropout on while evaluating needs a taped input and no view.
 *
 * Torch: `model.eval()`, but nothing is switched on the model itself.
 * @example const features = inference(encoder).forward(x.trace())
 */
export function inference<M extends object>(model: M): M {
  const known = views.get(model)
  if (known) return known as M
  const view = new Proxy(model, {
    get(target, key) {
      const value: unknown = Reflect.get(target, key, target)
      if (key === 'forward' && typeof value === 'function')
        return (x: unknown) => evaluating(() => value.call(target, x))
      return isModule(value) ? inference(value) : value
    },
  })
  views.set(model, view)
  return view
}

/** How many views are running forward, one inside the other. */
export const evaluationDepth = (): number => depth

/** Runs as at evaluation. */
export function evaluating<R>(run: () => R): R {
  depth++
  try {
    return run()
  } finally {
    depth--
  }
}
