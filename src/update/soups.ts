import { clone } from '../model/clone.js'
import { foreachTensors } from '../model/foreach.js'
import { zipAll } from '../model/compare.js'
import { input } from '../kernels/expr.js'
import { OptionError } from '../shapes/errors.js'
import { isFloat } from '../shapes/dtype.js'
import { average } from './average.js'
import { blendDType } from './blend.js'
import { copy } from './rules/copy.js'
import { lerp } from './rules/lerp.js'
import { update } from './update.js'

/** How good a model is: larger is better; NaN is worse than any number. */
export type Score<M> = (model: M) => number | Promise<number>

/** A score to compare by: comparisons with NaN, that of a model which has diverged, would all be false. */
const comparable = (score: number): number => (Number.isNaN(score) ? Number.NEGATIVE_INFINITY : score)

/** A soup and what is in it. */
export interface Soup<M> {
  readonly model: M
  /** Positions of the models that it was made of. */
  readonly ingredients: readonly number[]
  readonly score: number
}

/**
 * Greedy soup: the models from the best to the worst, each kept in the mean only if the held-out score does not fall.
 * The models are not changed; three of them are in memory besides those given.
 *
 * Throws: `OptionError` without models, `ShapeError` where they differ.
 * Torch: `main.py` of model-soups.
 * Paper: Wortsman et al., "Model soups: averaging weights of multiple fine-tuned models improves accuracy without
 * increasing inference time", 2022, recipe 1.
 * @example const { model, ingredients } = await greedySoup(models, (model) => accuracy(model, heldOut))
 */
export async function greedySoup<M extends object>(models: readonly M[], score: Score<M>): Promise<Soup<M>> {
  const [first] = models
  if (!first) throw new OptionError('greedySoup: needs at least one model.', { op: 'greedySoup' })
  const scored: { model: M; at: number; score: number }[] = []
  for (const [at, model] of models.entries()) scored.push({ model, at, score: await score(model) })
  scored.sort((a, b) => comparable(b.score) - comparable(a.score) || a.at - b.at)
  const [best = { model: first, at: 0, score: Number.NaN }, ...rest] = scored
  const soup = clone(best.model)
  const trial = clone(best.model)
  let ingredients = [best]
  let reached = best.score
  for (const next of rest) {
    const tried = [...ingredients, next]
    average({ target: trial, sources: tried.map(({ model }) => model as never) })
    const value = await score(trial)
    if (!(value >= comparable(reached))) continue
    ingredients = tried
    reached = value
    update({ target: soup, source: trial as never }, copy())
  }
  return { model: soup, ingredients: ingredients.map(({ at }) => at), score: reached }
}

/** One point of `wiseFt`. */
export interface WiseFtPoint {
  readonly alpha: number
  readonly score: number
}

/**
 * WiSE-FT: the points `(1 − alpha)·base + alpha·tuned` between a model and its fine-tuned version, scored. The best one is
 * returned as a model; base and tuned are not changed.
 *
 * Throws: `OptionError` for alphas outside [0, 1], `ShapeError` where the models differ.
 * Torch: `src/wise_ft.py` of wise-ft.
 * Paper: Wortsman et al., "Robust fine-tuning of zero-shot models", 2022, section 3.
 * @example const { model, points } = await wiseFt({ base, tuned }, (model) => accuracy(model, heldOut))
 */
export async function wiseFt<M extends object>(
  { base, tuned }: { readonly base: M; readonly tuned: M },
  score: Score<M>,
  alphas: readonly number[] = Array.from({ length: 11 }, (_, i) => i / 10),
): Promise<{ readonly model: M; readonly alpha: number; readonly points: readonly WiseFtPoint[] }> {
  const model = clone(base)
  const at = (alpha: number): void => {
    update({ target: model, source: base as never }, copy())
    update({ target: model, source: tuned as never }, lerp(alpha), { buffers: 'blend' })
  }
  const points: WiseFtPoint[] = []
  for (const alpha of alphas) {
    at(alpha)
    points.push({ alpha, score: await score(model) })
  }
  const [first] = points
  if (!first) throw new OptionError('wiseFt: needs at least one alpha.', { op: 'wiseFt' })
  const best = points.reduce((a, b) => (b.score > comparable(a.score) ? b : a), first)
  at(best.alpha)
  return { model, alpha: best.alpha, points }
}

/**
 * Model Stock: from N models fine-tuned from one base, tensor by tensor, the point between base and their mean that is
 * nearest to the centre they scatter around: `target ← t·mean + (1 − t)·base`, `t = N·c / (1 + (N − 1)·c)`, c being the
 * mean cosine of the angles between their differences from the base. Reads the cosines back, so it waits.
 *
 * Throws: `OptionError` with fewer than two models, `ShapeError` where they differ.
 * Torch: mergekit's `model_stock`.
 * Paper: Jang, Yun, Han, "Model Stock: all we need is just a few fine-tuned models", 2024, section 4.
 * @example const model = await modelStock({ base, models: [a, b] })
 */
export async function modelStock<M extends object>({
  base,
  models,
}: {
  readonly base: M
  readonly models: readonly M[]
}): Promise<M> {
  const count = models.length
  if (count < 2) throw new OptionError(`modelStock: needs at least two models, got ${count}.`, { op: 'modelStock' })
  const result = clone(base)
  average({ target: result, sources: models as never })
  for (const [original, mean, ...others] of zipAll('modelStock', base, [result, ...models], () => ({}))) {
    if (!original || !mean || !isFloat(original.tensor.dtype)) continue
    const { tensor } = original
    const tuned = others.map((other) => other.tensor)
    const dtype = blendDType(tensor.dtype)
    const read = (slot: number) => input(slot, tensor.dtype).cast(dtype)
    const inner = async (a: number, b: number): Promise<number> => {
      const [x = tensor, y = tensor] = [tuned[a], tuned[b]]
      const expr = read(0)
        .sub(read(2))
        .mul(read(1).sub(read(2)))
      const reads = [x, y, tensor]
      const [sum] = foreachTensors([], [{ reads, writes: [] }], [], [{ combine: 'sum', expr, over: 'all' }])
      return sum ? sum.item() : 0
    }
    const norms = await Promise.all(tuned.map(async (_, a) => Math.sqrt(await inner(a, a))))
    let cosines = 0
    for (let a = 0; a < count; a++)
      for (let b = a + 1; b < count; b++) cosines += (await inner(a, b)) / ((norms[a] ?? 0) * (norms[b] ?? 0))
    const c = cosines / ((count * (count - 1)) / 2)
    // What no model has changed has no angle, and nothing to move.
    const t = Number.isNaN(c) ? 0 : Math.min(1, Math.max(0, (count * c) / (1 + (count - 1) * c)))
    const whole = { target: { tensor: mean.tensor, forward() {} }, source: { tensor, forward() {} } }
    update(whole as never, lerp(1 - t), { buffers: 'blend' })
  }
  return result
}
