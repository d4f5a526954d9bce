import { batchNorm1d, ema, layerNorm, linear, sequential, update } from '../prelude.js'

const target = sequential(linear(4, 8), batchNorm1d(8))
const source = sequential(linear(4, 8), layerNorm(8))
update({ target, source }, ema({ decay: 0.999 }))
