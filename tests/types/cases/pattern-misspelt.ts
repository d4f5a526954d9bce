import { freeze, linear, relu, sequential } from '../prelude.js'

const model = sequential(linear(784, 512), relu(), linear(512, 10))
freeze(model, '2.wieght')
