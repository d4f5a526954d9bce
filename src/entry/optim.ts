import './default-device.js'

export * from '../optim/index.js'
