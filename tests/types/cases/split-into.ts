import { linear, splitInto, zeros } from '../prelude.js'

splitInto(linear(64, 32), linear(60, 16)).forward(zeros([8, 64]))
