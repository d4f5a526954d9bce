import './default-device.js'

export * from '../testing/index.js'
export { referenceDevice } from './reference-device.js'
