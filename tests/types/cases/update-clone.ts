import { clone, ema, linear, relu, sequential, update } from '../prelude.js'

const student = sequential(linear(784, 512), relu(), linear(512, 10))
const teacher = clone(sequential(linear(784, 512), relu()))
update({ target: student, source: teacher }, ema({ decay: 0.999 }))
