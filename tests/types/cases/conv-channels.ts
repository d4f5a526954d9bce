import { conv2d, zeros } from '../prelude.js'

conv2d(3, 16, 3).forward(zeros([32, 1, 28, 28]))
