import { ema } from '../prelude.js'

ema({})
