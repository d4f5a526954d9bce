import { avgPool2dOp, zeros } from '../prelude.js'

avgPool2dOp(zeros([8, 8]), 2)
