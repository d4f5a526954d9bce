import { conv2d, relu, sequential } from '../prelude.js'

sequential(conv2d(1, 16, 3), relu(), conv2d(8, 32, 3))
