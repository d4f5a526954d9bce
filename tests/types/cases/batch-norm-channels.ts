import { batchNorm2d, zeros } from '../prelude.js'

batchNorm2d(64).forward(zeros([32, 63, 7, 7]))
