import { conv2dOp, zeros } from '../prelude.js'

conv2dOp(zeros([1, 4, 8, 8]), zeros([3, 2, 3, 3]), undefined, { groups: 2 })
