export * from '../shapes/dtype.js'
