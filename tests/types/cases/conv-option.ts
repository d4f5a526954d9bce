import { conv2d } from '../prelude.js'

conv2d(1, 16, 3, { stride: 2, pading: 1 })
