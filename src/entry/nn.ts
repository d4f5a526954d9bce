import './default-device.js'
import '../ops/fluent.js'
import '../autodiff/fluent.js'

export * from '../model/index.js'
export * from '../nn/index.js'
