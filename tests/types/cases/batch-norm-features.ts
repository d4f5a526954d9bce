import { batchNorm1d, zeros } from '../prelude.js'

batchNorm1d(64).forward(zeros([32, 63]))
