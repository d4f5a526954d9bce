/**
 * How fast a target follows its source, named by exactly one of three conventions, because fields use the same words
 * with opposite meanings: `decay` is the weight of the old value, `tau` = 1 - decay that of the source, `halfLife` the
 * number of updates after which half of the old value is left. V is what states it: a number or a schedule.
 */
export type Rate<V = number> =
  | { readonly decay: V; readonly tau?: never; readonly halfLife?: never }
  | { readonly tau: V; readonly decay?: never; readonly halfLife?: never }
  | { readonly halfLife: V; readonly decay?: never; readonly tau?: never }
