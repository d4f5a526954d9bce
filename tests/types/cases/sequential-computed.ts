import { flatten, linear, sequential, zeros } from '../prelude.js'

sequential(flatten(), linear(784, 10)).forward(zeros([32, 1, 28, 27]))
