import { ema } from '../prelude.js'

ema({ tau: 0.005, decay: 0.9 })
