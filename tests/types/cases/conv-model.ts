import { conv2d, flatten2d, linear, maxPool2d, relu, sequential, zeros } from '../prelude.js'

const cnn = sequential(conv2d(1, 16, 3), relu(), maxPool2d(2), flatten2d(), linear(1024, 10))
cnn.forward(zeros([32, 1, 28, 28]))
