import { linear, sequential } from '../prelude.js'

sequential(linear(784, 512), linear(128, 10))
