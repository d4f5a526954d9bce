import { tensorsOf, untied } from './walk.js'

/**
 * How many numbers a model's parameters hold; tied ones count once, buffers do not count.
 * Torch: `sum(p.numel() for p in model.parameters())`.
 * @example countParameters(linear(784, 10)) // 7850
 */
export function countParameters(model: object): number {
  return untied(tensorsOf(model)).reduce((sum, { role, tensor }) => sum + (role === 'parameter' ? tensor.size : 0), 0)
}
