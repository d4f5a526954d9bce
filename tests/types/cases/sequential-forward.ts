import { linear, relu, sequential, zeros } from '../prelude.js'

sequential(linear(784, 512), relu(), linear(512, 10)).forward(zeros([32, 28]))
