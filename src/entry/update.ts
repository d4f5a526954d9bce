import './default-device.js'

export * from '../update/index.js'
