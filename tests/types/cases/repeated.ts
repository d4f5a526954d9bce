import { linear, repeated, zeros } from '../prelude.js'

repeated(3, () => linear(64, 32)).forward(zeros([32, 64]))
