import { ema } from '../prelude.js'

ema(0.999)
