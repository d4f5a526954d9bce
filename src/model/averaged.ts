/** The key under which the type of an average names the model that it averages. It exists in the type only. */
const AVERAGE_OF: unique symbol = Symbol('dfdt.averageOf')
export type AVERAGE_OF = typeof AVERAGE_OF

/** An average of models of type M: no optimizer trains it. */
export interface AverageOf<out M> {
  readonly [AVERAGE_OF]: M
}

/** The model that M is an average of, or M. */
export type Original<M> = M extends AverageOf<infer O> ? O : M

/** A model that an optimizer takes: M, or a message. */
export type Trainable<M> = M extends AverageOf<unknown> ? 'an average is not trained: give the optimizer its source' : M

const averages = new WeakSet<object>()

/** Says that `model` is an average from now on. */
export const markAverage = (model: object): void => {
  averages.add(model)
}
export const isAverage = (model: object): boolean => averages.has(model)
