import './default-device.js'

export { type Batch, type BatchOptions, batches, type Column, column } from '../data/batches.js'
export { type IdxArray, parseIdx } from '../data/idx.js'
