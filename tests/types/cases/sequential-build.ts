import { linear, relu, sequential } from '../prelude.js'

sequential(linear(784, 512), relu(), linear(128, 10), relu())
