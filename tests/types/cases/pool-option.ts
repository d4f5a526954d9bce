import { maxPool2dOp, zeros } from '../prelude.js'

maxPool2dOp(zeros([1, 1, 8, 8]), 2, { stride: 1, dilation: 2 })
