import './default-device.js'

export * from '../testing/index.js'
