/**
 * What any model is: something with a forward method. Plain classes qualify, nothing is extended.
 */
export interface Module {
  // biome-ignore lint/suspicious/noExplicitAny: a forward method of any signature; Apply reads the real one
  forward(x: any): any
}

/**
 * The key of a combinator's list of modules, whose indices are path segments of their own: `0.weight`, not
 * `layers.0.weight`. Array fields of user classes keep their name, so two arrays never collide.
 */
export const CHILDREN: unique symbol = Symbol('dfdt.children')
export type CHILDREN = typeof CHILDREN
