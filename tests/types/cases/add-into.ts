import { addInto, linear, zeros } from '../prelude.js'

addInto(linear(64, 32), linear(64, 16)).forward(zeros([8, 64]))
