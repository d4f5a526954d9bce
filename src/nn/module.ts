/** The types of modules: functions on tensor types that the compiler evaluates. */
export { CHILDREN, type Module } from '../model/module.js'
export { ACCEPTS, type Apply, type Fn, IN, type Input, type Layer, OUT, type Result } from './types/apply.js'
export type { AcceptsOf, Chain, CheckedLayers, Sequential, SequentialFactory } from './types/chain.js'
export type * from './types/combinators.js'
export type * from './types/convert.js'
export type * from './types/images.js'
export type * from './types/layers.js'
