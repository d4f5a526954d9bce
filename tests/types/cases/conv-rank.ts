import { conv2d, zeros } from '../prelude.js'

conv2d(3, 16, 5).forward(zeros([28, 28]))
