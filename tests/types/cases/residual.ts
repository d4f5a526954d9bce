import { linear, residual, zeros } from '../prelude.js'

residual(linear(64, 32)).forward(zeros([32, 64]))
