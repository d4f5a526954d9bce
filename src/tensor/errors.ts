export * from '../shapes/errors.js'
