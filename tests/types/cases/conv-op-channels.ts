import { conv2dOp, zeros } from '../prelude.js'

conv2dOp(zeros([32, 3, 28, 28]), zeros([16, 1, 3, 3]), undefined, { groups: 2 })
